"""Turning images the way radiologists look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from python_recon.data import ImageSeries, Vector

_LEFT, _BACK, _FEET = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, -1.0])
_NO_PLANE = 1e-3
"""Largest part of the cross product of two directions that span no plane."""
_SCREENS = ((_BACK, _FEET), (_LEFT, _FEET), (_LEFT, _BACK))
"""What lies at the right and at the bottom of sagittal, coronal and axial images."""


def is_oriented(series: ImageSeries) -> bool:
    """Whether it is known how the image lies in the patient: two directions that span a plane."""
    spanned = np.cross(series.geometry.read_dir, series.geometry.phase_dir)
    return bool(np.isfinite(spanned).all() and np.abs(spanned).max() > _NO_PLANE)


def edge_letters(series: ImageSeries) -> dict[str, str]:
    """Patient directions at the edges of the image, as on a radiologist's screen; none where unknown."""
    if not is_oriented(series):
        return {}
    right, bottom = series.geometry.read_dir, series.geometry.phase_dir
    left, top = (tuple(-part for part in direction) for direction in (right, bottom))
    ends = {"left": left, "right": right, "top": top, "bottom": bottom}
    return {side: _letters(direction) for side, direction in ends.items()}


def _letters(direction: Sequence[float]) -> str:
    names = (("L", "R"), ("P", "A"), ("H", "F"))
    parts = [(abs(part), pair[int(part < 0)]) for part, pair in zip(direction, names, strict=True)]
    return "".join(letter for strength, letter in sorted(parts, reverse=True) if strength > 0.3)


def as_on_screen(series: ImageSeries) -> ImageSeries:
    """The series flipped and transposed to the nearest of the customary views, its geometry with it.

    The plane is the one that the slice comes closest to. Only for pictures: what is sent to the client or
    stored keeps the axes of the scan. Where the directions are not known, the series stays as it is.
    """
    if not is_oriented(series):
        return series
    x, y = np.array(series.geometry.read_dir), np.array(series.geometry.phase_dir)
    right, bottom = _SCREENS[int(np.abs(np.cross(x, y)).argmax())]
    is_turned = abs(y @ right) + abs(x @ bottom) > abs(x @ right) + abs(y @ bottom) + 1e-6
    images, field_of_view = series.images, series.geometry.field_of_view_mm
    if is_turned:
        x, y, images = y, x, images.swapaxes(1, 2)
        field_of_view = (field_of_view[1], field_of_view[0], field_of_view[2])
    x_sign, y_sign = (1 if x @ right >= 0 else -1), (1 if y @ bottom >= 0 else -1)
    position = np.array(series.geometry.position_mm)
    for direction, sign, extent, count in (
        (x, x_sign, field_of_view[0], images.shape[2]),
        (y, y_sign, field_of_view[1], images.shape[1]),
    ):
        if sign < 0 and count % 2 == 0:
            position -= extent / count * direction  # where the voxel is that has become number n // 2
    geometry = replace(
        series.geometry,
        position_mm=_vector(position),
        read_dir=_vector(x_sign * x),
        phase_dir=_vector(y_sign * y),
        field_of_view_mm=field_of_view,
    )
    return replace(series, images=images[:, ::y_sign, ::x_sign], geometry=geometry)


def _vector(direction: np.ndarray) -> Vector:
    x, y, z = (float(component) for component in direction)
    return x, y, z
