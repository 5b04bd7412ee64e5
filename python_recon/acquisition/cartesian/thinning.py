"""Fewer lines than were measured, as an undersampled scan would have had them."""

from __future__ import annotations

import numpy as np

from python_recon.acquisition.spokes import own_spokes
from python_recon.data import KSpace
from python_recon.errors import DataError

_CENTRAL = 3
"""One of so many lines that are kept lies at the centre."""


def thinned(kspace: KSpace, n_spokes: int) -> np.ndarray:
    """Which lines to keep so that every frame has ``n_spokes``: (frame, spoke) bool.

    A third of them are the innermost, which coil maps need; the others are drawn anew for every frame, always
    the same for the same scan. Borrowed lines are not kept.

    Raises
    ------
    DataError
        If no frame has as many lines of its own.
    """
    own = own_spokes(kspace)
    most = own.sum(axis=1).max(initial=0)
    if n_spokes > most:
        raise DataError(
            f"{n_spokes} lines a frame are asked for, but the frames have {most} of their own: ask for fewer"
        )
    rng = np.random.default_rng(0)
    distance = np.abs(np.asarray(kspace.trajectory)[..., 1]).min(-1)
    kept = np.zeros_like(own)
    for frame, there, far in zip(kept, own, distance, strict=True):
        lines = np.flatnonzero(there)
        inner = lines[np.argsort(far[lines], kind="stable")[: -(-n_spokes // _CENTRAL)]]
        others = rng.permutation(np.setdiff1d(lines, inner))[: n_spokes - len(inner)]
        frame[inner], frame[others] = True, True
    return kept
