"""What kind of spokes a scan has: full or half, sampled evenly or on a ramp."""

from __future__ import annotations

import numpy as np

_FEWEST_BEYOND = 6
"""Samples on either side of the centre from which on a spoke counts as one that runs through it."""
_UNEVEN = 0.1
"""Departure of a step from the median step, relative to it, from which on a spoke is sampled unevenly."""


def run_through_centre(trajectory: np.ndarray) -> bool:
    """Whether most spokes are sampled evenly, and on both sides of the centre of k-space.

    Half spokes from the centre and spokes that are sampled while the gradient rises are not: a Fourier
    transform along them is no projection of the object, and their echoes have no middle to be found.

    Parameters
    ----------
    trajectory
        (..., readout, 2) in cycles per field of view; padding is zero.
    """
    spokes = trajectory.reshape(-1, *trajectory.shape[-2:])
    spokes = spokes[spokes.any((1, 2))]
    if spokes.shape[0] == 0 or spokes.shape[1] <= 2 * _FEWEST_BEYOND:
        return False
    centre = int(np.median(np.linalg.norm(spokes, axis=-1).argmin(-1)))
    steps = np.median(np.linalg.norm(np.diff(spokes, axis=1), axis=-1), axis=0)
    is_even = np.abs(steps - np.median(steps)).max() <= _UNEVEN * np.median(steps)
    return bool(is_even and _FEWEST_BEYOND <= centre < spokes.shape[1] - _FEWEST_BEYOND)
