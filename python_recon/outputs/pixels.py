"""Whole numbers for formats that store nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from python_recon.data import ImageSeries

FULL_SCALE = 65535


@dataclass(frozen=True)
class Coding:
    """How magnitudes become uint16: one code for a series and all of its slices."""

    unit: float
    """Magnitude of one step."""
    bits: int
    """That are used: 12 or 16."""

    @classmethod
    def of(cls, series: Sequence[ImageSeries]) -> Coding:
        """Magnitudes that are whole numbers stay what they are; others span all of 16 bits."""
        peak = max((float(finite_magnitude(each.images).max(initial=0.0)) for each in series), default=0.0)
        if peak <= FULL_SCALE and all(_is_whole(each.images) for each in series):
            return cls(1.0, 12 if peak < 1 << 12 else 16)
        return cls(peak / FULL_SCALE, 16)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """uint16 of the magnitude; what is not finite becomes 0."""
        return np.round(finite_magnitude(images) / self.unit).astype(np.uint16)


def finite_magnitude(images: np.ndarray) -> np.ndarray:
    """The magnitude, 0 where it is not finite."""
    return np.nan_to_num(np.abs(images), nan=0.0, posinf=0.0)


def _is_whole(images: np.ndarray) -> bool:
    magnitude = finite_magnitude(images)
    return bool((magnitude == np.round(magnitude)).all())
