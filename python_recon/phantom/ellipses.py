"""Ellipses whose Fourier transform is known in closed form.

Lengths are fractions of the field of view, k in cycles per field of view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

_TABLE_STEPS = 1024
"""Table entries per unit of kappa: linear interpolation is then good to 1e-6 of the peak."""


@dataclass(frozen=True)
class Ellipses:
    """Ellipses of constant intensity that add where they overlap, at many times.

    Each array is (ellipse, *time).
    """

    intensity: np.ndarray
    x: np.ndarray
    y: np.ndarray
    semi_x: np.ndarray
    """Semi-axis along x before the rotation by ``angle``."""
    semi_y: np.ndarray
    angle: np.ndarray
    """Rotation from x towards y, radians."""

    def __len__(self) -> int:
        return len(self.intensity)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(self.intensity, self.x, self.y, self.semi_x, self.semi_y, self.angle, strict=True)


def transform(
    ellipses: Ellipses, kx: np.ndarray, ky: np.ndarray, shift_x: np.ndarray, shift_y: np.ndarray
) -> np.ndarray:
    """Fourier transform of the sum of the ellipses at the points k - shift, for every shift.

    An ellipse of intensity a, semi-axes p and q and centre c has the transform
    ``a p q J1(2 pi kappa) / kappa exp(-2 pi i k.c)``, kappa = |(p k_x', q k_y')| in its own axes.

    Parameters
    ----------
    ellipses
        With a time axis that is (spoke, 1) or (spoke, readout).
    kx, ky
        (spoke, readout).
    shift_x, shift_y
        (mode,), in cycles per field of view.

    Returns
    -------
    (mode, spoke, readout) complex64.
    """
    total = np.zeros((len(shift_x), *kx.shape), np.complex64)
    shift_x, shift_y = shift_x[:, None, None], shift_y[:, None, None]
    k_maximum = float(np.hypot(kx, ky).max() + np.hypot(shift_x, shift_y).max())
    for intensity, x, y, semi_x, semi_y, angle in ellipses:
        table = _jinc_table(int(np.ceil(k_maximum * max(semi_x.max(), semi_y.max()))) + 1)
        cos, sin = np.cos(angle), np.sin(angle)
        along = _float32(semi_x * (cos * kx + sin * ky)) - _float32(semi_x * (cos * shift_x + sin * shift_y))
        across = _float32(semi_y * (cos * ky - sin * kx)) - _float32(semi_y * (cos * shift_y - sin * shift_x))
        weight = intensity * semi_x * semi_y * np.exp(-2j * np.pi * (kx * x + ky * y))
        mode_phase = np.exp(2j * np.pi * (shift_x * x + shift_y * y))
        phase = weight.astype(np.complex64) * mode_phase.astype(np.complex64)
        total += np.multiply(phase, _jinc(along, across, table), out=phase)
    return total


def rasterise(ellipses: Ellipses, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Intensity of the ellipses (one time, arrays (ellipse,)) at the points of the grid x (x,), y (y,)."""
    image = np.zeros((len(y), len(x)), np.float32)
    for intensity, centre_x, centre_y, semi_x, semi_y, angle in ellipses:
        cos, sin = np.cos(angle), np.sin(angle)
        columns = _span(x, centre_x, np.hypot(semi_x * cos, semi_y * sin))
        rows = _span(y, centre_y, np.hypot(semi_x * sin, semi_y * cos))
        dx, dy = x[None, columns] - centre_x, y[rows, None] - centre_y
        inside = ((cos * dx + sin * dy) / semi_x) ** 2 + ((cos * dy - sin * dx) / semi_y) ** 2 <= 1
        image[rows, columns] += np.float32(intensity) * inside
    return image


def _span(axis: np.ndarray, centre: float, half_width: float) -> slice:
    return slice(*np.searchsorted(axis, (centre - half_width, centre + half_width)))


def _jinc(along: np.ndarray, across: np.ndarray, table: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """J1(2 pi kappa) / kappa with kappa = |(along, across)|; both inputs are overwritten."""
    values, slopes = table
    along *= along
    across *= across
    along += across
    kappa = np.sqrt(along, out=along)
    kappa *= np.float32(_TABLE_STEPS)
    index = kappa.astype(np.int32)
    kappa -= index
    kappa *= np.take(slopes, index, out=across, mode="clip")
    kappa += np.take(values, index, out=across, mode="clip")
    return kappa  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _jinc_table(kappa_maximum: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of J1(2 pi kappa) / kappa at steps of 1 / _TABLE_STEPS, and the differences to the next."""
    from scipy.special import j1

    kappa = np.arange(1, kappa_maximum * _TABLE_STEPS + 2) / _TABLE_STEPS
    values = np.concatenate([[np.pi], j1(2 * np.pi * kappa) / kappa])
    return values[:-1].astype(np.float32), np.diff(values).astype(np.float32)


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)
