"""Where images move most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BODY = 0.1
"""Least magnitude of the body, of that of its brightest parts."""
_MARGIN = 16
"""What is nearer to the body's edge than this part of the image is skin and fat, and their streaks."""


def liveliest_point(images: np.ndarray) -> tuple[int, int]:
    """The pixel (y, x) whose neighbourhood changes most over the frames: lines through it show the motion.

    It lies inside the body, away from its edge where possible; it is the centre where nothing changes.

    Parameters
    ----------
    images
        (frame, y, x), complex or magnitude. Of several methods, give the :func:`quietest`.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter1d

    # The mean over neighbouring frames keeps motion and quietens noise and streaks.
    magnitude = np.nan_to_num(np.abs(images), posinf=0.0)
    calm = uniform_filter1d(magnitude, min(3, len(images)), axis=0)
    inside = _inside(magnitude.mean(axis=0))
    change = inside * gaussian_filter(inside * calm.var(axis=0), sigma=max(images.shape[1:]) / 12)
    if not change.any():
        return images.shape[1] // 2, images.shape[2] // 2
    y, x = np.unravel_index(int(np.argmax(change)), change.shape)
    return int(y), int(x)


def quietest(candidates: Sequence[np.ndarray]) -> int:
    """Which of several series (frame, y, x) has the least noise and fewest streaks; the last of equals.

    Noise is what frames do not share with the mean of their neighbours, where it is half as large or less.
    """
    noises = [_noise(np.nan_to_num(np.abs(images), posinf=0.0)) for images in candidates]
    return len(noises) - 1 - int(np.argmin(noises[::-1]))


def _noise(magnitude: np.ndarray) -> float:
    """Relative to the brightest parts; 0 where there are too few frames to tell."""
    white = float(np.percentile(magnitude, 99))
    if len(magnitude) < 3 or not white:
        return 0.0
    return float(np.median(np.abs(np.diff(magnitude, 2, axis=0)))) / white


def _inside(mean: np.ndarray) -> np.ndarray:
    """(y, x) whether a pixel lies in the body, away from its edge unless nothing would be left."""
    from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter

    smooth = gaussian_filter(mean, 1.0)
    body = binary_fill_holes(smooth > _BODY * np.percentile(smooth, 99))
    inner = binary_erosion(body, iterations=max(1, max(mean.shape) // _MARGIN))
    return inner if inner.any() else body
