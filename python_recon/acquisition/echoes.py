"""Where the echo of a readout lies, by its energy, and what contradicts that."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from python_recon.data import Readout

logger = logging.getLogger(__name__)

_HALF_SPOKE = 1 / 8
"""Share of a readout, from its end, within which the echo of a half spoke lies."""
_FEWEST = 4
"""Readouts that tell where the echo is."""
_SCATTER = 1 / 32
"""Share of a readout by which echoes may differ and still be told from noise."""
_OFF = 1 / 16
"""Share of a readout by which the echo has to miss the centre to be told of."""
_LEAST_OFF = 6
"""The same in samples."""


def are_half_spokes(head: Sequence[Readout]) -> bool:
    """Whether the centre is said to be at an end of the readouts, and their energy is there, too."""
    ends = [r for r in head if r.center_sample == (r.n_samples - 1 if r.is_reversed else 0)]
    if not head or len(ends) < len(head):
        return False
    peaks = [_echo(r) / r.n_samples for r in ends]
    from_end = [1 - peak if r.is_reversed else peak for r, peak in zip(ends, peaks, strict=True)]
    return bool(np.median(from_end) < _HALF_SPOKE)


def tell_contradictions(head: Sequence[Readout], trajectories: Sequence[np.ndarray]) -> None:
    """Warn where the echoes lie clearly elsewhere than the centre of k-space is said to be.

    Told apart for readouts that were turned, since a wrong flag moves the echoes of these only.

    Parameters
    ----------
    head
        The first readouts.
    trajectories
        (readout, 2) of each, as its source has it.
    """
    placed = list(zip(head, trajectories, strict=True))
    for is_reversed in (False, True):
        own = [(r, t) for r, t in placed if r.is_reversed == is_reversed and r.data.any()]
        if len(own) < _FEWEST:
            continue
        n_samples = float(np.median([r.n_samples for r, _ in own]))
        echoes = np.array([_echo(r) for r, _ in own])
        centre = float(np.median([np.linalg.norm(t, axis=-1).argmin() for _, t in own]))
        echo = float(np.median(echoes))
        is_sure = np.median(np.abs(echoes - echo)) <= _SCATTER * n_samples
        if is_sure and abs(echo - centre) > max(_OFF * n_samples, _LEAST_OFF):
            kind = "turned by their flag ACQ_IS_REVERSE" if is_reversed else "not reversed"
            logger.warning(
                "the echoes of readouts that are %s lie at sample %.0f of %.0f, the centre of k-space at "
                "sample %.0f: check center_sample, the flag ACQ_IS_REVERSE and the trajectory",
                kind,
                echo,
                n_samples,
                centre,
            )


def _echo(readout: Readout) -> int:
    """The sample with most energy."""
    return int(np.square(np.abs(readout.data)).sum(0).argmax())
