"""Turning images the way radiologists look at them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.data import ImageSeries, Vector

_LEFT, _BACK, _FEET = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, -1.0])
_SCREENS = ((_BACK, _FEET), (_LEFT, _FEET), (_LEFT, _BACK))
"""What lies at the right and at the bottom of sagittal, coronal and axial images."""


def as_on_screen(series: ImageSeries) -> ImageSeries:
    """The series flipped and transposed to the nearest of the customary views, its geometry with it.

    The plane is the one that the slice comes closest to. Only for pictures: what is sent to the client or
    stored keeps the axes of the scan.
    """
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
