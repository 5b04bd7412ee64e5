"""Where images move most."""

from __future__ import annotations

import numpy as np


def liveliest_point(images: np.ndarray) -> tuple[int, int]:
    """The pixel (y, x) whose neighbourhood changes most over the frames: lines through it show the motion.

    It is the centre where nothing changes.

    Parameters
    ----------
    images
        (frame, y, x), complex or magnitude.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter1d

    # The mean over neighbouring frames keeps motion and quietens noise and streaks.
    calm = uniform_filter1d(np.nan_to_num(np.abs(images), posinf=0.0), min(3, len(images)), axis=0)
    change = gaussian_filter(calm.var(axis=0), sigma=max(images.shape[1:]) / 12)
    if not change.any():
        return images.shape[1] // 2, images.shape[2] // 2
    y, x = np.unravel_index(int(np.argmax(change)), change.shape)
    return int(y), int(x)
