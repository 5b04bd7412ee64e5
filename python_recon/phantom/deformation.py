"""Smooth motion of a still image: what a beat and a breath do to it.

Around the middle the image contracts towards it, as a heart does; its upper and lower middle follow the
breath, its margin stands still. Both maps are smooth and fold nowhere. Lengths are fractions of the field of
view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BEATING_RADIUS = 0.13
_BREATHING_RADIUS = 0.20
_UPTAKE = (0.12, -0.08, 0.05)
"""x, y and radius of the part that enhances."""


@dataclass(frozen=True)
class Deformation:
    """The motion at one moment."""

    contraction: float
    """Share by which radii at the middle are shortened, 0..0.4; above 0.69 the map would fold."""
    inspiration: float
    """Displacement of the middle to the back, 0..0.04."""

    def source(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in the still image that lies which is seen at x, y."""
        distance = (x**2 + y**2) / _BREATHING_RADIUS**2
        y = y - self.inspiration * np.exp(-distance / 2)
        pull = self.contraction / (1 - self.contraction)
        stretch = 1 + pull * np.exp(-(x**2 + y**2) / (2 * _BEATING_RADIUS**2))
        return x * stretch, y * stretch

    @staticmethod
    def uptake(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far places of the still image take part in the enhancement, 0..1."""
        centre_x, centre_y, radius = _UPTAKE
        return np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * radius**2))
