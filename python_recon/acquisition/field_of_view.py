"""Images of a wider field of view, cut."""

from __future__ import annotations

import numpy as np


def narrow(images: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """The centre (frame, y, x) of wider images, in the scale of the narrow matrix."""
    wide = images.shape[-2:]
    rows, columns = (slice(w // 2 - n // 2, w // 2 - n // 2 + n) for w, n in zip(wide, matrix, strict=True))
    ratio = np.float32(np.sqrt(matrix[0] * matrix[1] / (wide[0] * wide[1])))
    centre: np.ndarray = images[..., rows, columns] * ratio
    return centre
