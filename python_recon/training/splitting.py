"""Which measurements a network learns from, and which judge it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from python_recon.errors import DataError


def split_scans(scans: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Measurements to learn from and to judge by, never a measurement in both.

    Which of them judge is told by their names alone: the same at every call, and whatever the order.

    Parameters
    ----------
    scans
        Names, each once or more often.
    share
        Of the measurements that judge, 0..1; one at least.

    Raises
    ------
    DataError
        If there are fewer than two measurements: one of the two sets would be empty.
    """
    names = sorted(set(scans), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(names) < 2:
        raise DataError(
            f"there {'is one measurement' if names else 'are no measurements'} ({', '.join(names)}): one is "
            "needed to learn from and another one to judge by; give more scans"
        )
    n_judges = min(max(round(share * len(names)), 1), len(names) - 1)
    return sorted(names[n_judges:]), sorted(names[:n_judges])
