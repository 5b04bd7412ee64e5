"""From complex images to grey values on a screen: one window for a whole series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from python_recon.data import ImageSeries

DARK_PERCENTILE, BRIGHT_PERCENTILE = 1.0, 99.5
"""Share of the voxels that are black and that are below white."""


@dataclass(frozen=True)
class Window:
    """The magnitudes shown as black and as white."""

    low: float
    high: float

    @property
    def centre(self) -> float:
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        return self.high - self.low


def window_of(images: np.ndarray) -> Window:
    """The window of a series, from percentiles of the magnitude over all of its frames."""
    magnitude = np.abs(images)
    magnitude = magnitude[np.isfinite(magnitude)]
    if magnitude.size == 0:
        return Window(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(magnitude, (DARK_PERCENTILE, BRIGHT_PERCENTILE)))
    if high > low:
        return Window(low, high)
    # Hardly anything but background, such as a point source: what little there is must still be seen.
    brightest = float(magnitude.max())
    return Window(low, brightest if brightest > low else low + 1.0)


def to_grey(images: np.ndarray, window: Window) -> np.ndarray:
    """8-bit grey values of the magnitude, black at and below the window, white at and above it.

    Infinity is white, what is not a number is black.
    """
    magnitude = np.nan_to_num(np.abs(images), posinf=window.high)
    scaled = (magnitude - window.low) * (255 / window.width)
    grey: np.ndarray = np.clip(scaled.round(), 0, 255).astype(np.uint8)
    return grey


def display_size(series: ImageSeries, minimum_px: int) -> tuple[int, int]:
    """Height and width in screen pixels: square millimetres, the shorter side at least ``minimum_px``.

    A field of view that is not known is taken to have square pixels. Matrices grow by a whole factor.
    """
    height, width = series.images.shape[1:]
    size_x, size_y, _ = series.geometry.field_of_view_mm
    stretch = (size_y / height) / (size_x / width) if size_x > 0 and size_y > 0 else 1.0
    factor = max(1, int(np.ceil(minimum_px / min(height * stretch, width))))
    return round(height * stretch * factor), width * factor
