"""Which part of a field of view is rendered, and where in the patient it lies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from python_recon.data import Geometry
from python_recon.errors import ConfigError

if TYPE_CHECKING:
    from python_recon.fields.view import View
    from python_recon.fitting.checkpoint import Checkpoint


@dataclass(frozen=True)
class Picture:
    """What is rendered of the field of view."""

    view: View
    """The pixels, in the matrix of the field, which may be wider than that of the images."""
    factor: float
    """That keeps intensities independent of the wider matrix."""
    geometry: Geometry

    @classmethod
    def of(cls, checkpoint: Checkpoint, size: tuple[int, int], crop: str | None = None) -> Picture:
        """All pixels of a matrix (y, x), or those of a crop.

        Raises
        ------
        ConfigError
            If the crop is not one within the images of the scan.
        """
        from python_recon.fields.view import View

        fitted, native = checkpoint.fitted, checkpoint.origin.image_matrix
        wide = (
            round(size[0] * fitted.matrix[0] / native[0]),
            round(size[1] * fitted.matrix[1] / native[1]),
        )
        rows, columns = ((0, size[0]), (0, size[1])) if crop is None else _window(crop, native, size)
        inner = View(size, rows, columns)
        down, across = (w // 2 - n // 2 for w, n in zip(wide, size, strict=True))
        outer = View(wide, (rows[0] + down, rows[1] + down), (columns[0] + across, columns[1] + across))
        factor = math.sqrt(math.prod(size) / math.prod(wide))
        return cls(outer, factor, _geometry(checkpoint, inner, wide))


def _window(
    crop: str, native: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of a matrix (y, x) that a crop of the scan's own images takes."""
    found = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", crop.replace(" ", ""))
    x0, x1, y0, y1 = map(int, found.groups()) if found else (0, 0, 0, 0)
    if not (x0 < x1 <= native[1] and y0 < y1 <= native[0]):
        raise ConfigError(
            f"--crop {crop}: expected X0:X1,Y0:Y1 in whole pixels within 0:{native[1]},0:{native[0]}, the "
            "images of the scan"
        )
    y, x = (now / old for now, old in zip(size, native, strict=True))
    rows = (math.floor(y0 * y), math.ceil(y1 * y))
    return rows, (math.floor(x0 * x), math.ceil(x1 * x))


def _geometry(checkpoint: Checkpoint, view: View, wide: tuple[int, int]) -> Geometry:
    """The place and extent of a view of the images.

    The extent of the whole is the scan's, but for the rounding of the wider matrix, which changes the pixels
    a little.
    """
    geometry, native = checkpoint.origin.geometry, checkpoint.origin.image_matrix
    extent = geometry.field_of_view_mm
    y_mm, x_mm = (
        length / old * field / rounded
        for length, old, field, rounded in zip(
            (extent[1], extent[0]), native, checkpoint.fitted.matrix, wide, strict=True
        )
    )
    down, across = (
        (first + (end - first) // 2 - n // 2) * pixel
        for (first, end), n, pixel in zip((view.rows, view.columns), view.matrix, (y_mm, x_mm), strict=True)
    )
    position = np.array(geometry.position_mm)
    position = position + across * np.array(geometry.read_dir) + down * np.array(geometry.phase_dir)
    rows, columns = view.shape
    x, y, z = map(float, position)
    return replace(geometry, position_mm=(x, y, z), field_of_view_mm=(columns * x_mm, rows * y_mm, extent[2]))
