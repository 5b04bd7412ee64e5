"""Gaussian blobs: band-limited, with a Fourier transform in closed form.

Lengths are fractions of the field of view, k in cycles per field of view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import finufft
import numpy as np

_ACCURACY = 1e-9
_REACH = 4.0
"""Widths that a blob is drawn out to: what is left out is 3e-4 of its peak."""


@dataclass(frozen=True)
class Blobs:
    """Blobs of one width that add, at many times."""

    amplitude: np.ndarray
    """(blob, *time)."""
    x: np.ndarray
    """(blob, *time)."""
    y: np.ndarray
    """(blob, *time)."""
    width: float
    """Standard deviation."""


def transform_blobs(blobs: Blobs, trajectory: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Fourier transform of the blobs at the points k - shift, for every shift.

    A blob of amplitude a, width w and centre c has the transform
    ``2 pi a w^2 exp(-2 pi^2 w^2 |k|^2) exp(-2 pi i k.c)``. The sum over the blobs is taken in double
    precision (FINUFFT, type 3, to 1e-9).

    Parameters
    ----------
    blobs
        With a time axis that is (spoke, 1) or (spoke, readout).
    trajectory
        (spoke, readout, 2).
    shifts
        (mode, 2), in cycles per field of view.

    Returns
    -------
    (mode, spoke, readout) complex64.
    """
    k = trajectory - shifts[:, None, None]
    total = np.empty(k.shape[:3], np.complex64)
    for where, time in moments(blobs.x.shape[1:]):
        points = 2 * np.pi * np.ascontiguousarray(k[where].reshape(-1, 2).T)
        x, y = (np.ascontiguousarray(places[time]) for places in (blobs.x, blobs.y))
        weight = blobs.amplitude[time].astype(np.complex128)
        waves = finufft.nufft2d3(x, y, weight, *points, eps=_ACCURACY, isign=-1)
        envelope = 2 * np.pi * blobs.width**2 * np.exp(-0.5 * blobs.width**2 * (points**2).sum(axis=0))
        total[where] = (envelope * waves).reshape(total[where].shape)
    return total


Index: TypeAlias = tuple[Any, ...]


def moments(times_shape: tuple[int, ...]) -> Iterator[tuple[Index, Index]]:
    """Where each moment is among samples (mode, spoke, readout), and among values (value, *time).

    ``times_shape`` is (spoke, 1) or (spoke, readout).
    """
    every = slice(None)
    for spoke, sample in np.ndindex(times_shape):
        yield (every, spoke, every if times_shape[1] == 1 else sample), (every, spoke, sample)


def add_blobs(image: np.ndarray, blobs: Blobs, x: np.ndarray, y: np.ndarray) -> None:
    """Add blobs (one time, arrays (blob,)) to an image (y, x) on the grid x (x,) and y (y,)."""
    for amplitude, centre_x, centre_y in zip(blobs.amplitude, blobs.x, blobs.y, strict=True):
        columns, rows = _around(x, centre_x, blobs.width), _around(y, centre_y, blobs.width)
        across, down = (
            np.exp(-0.5 * ((axis - centre) / blobs.width) ** 2)
            for axis, centre in ((x[columns], centre_x), (y[rows], centre_y))
        )
        image[rows, columns] += np.outer(amplitude * down, across)


def _around(axis: np.ndarray, centre: float, width: float) -> slice:
    return slice(*np.searchsorted(axis, (centre - _REACH * width, centre + _REACH * width)))
