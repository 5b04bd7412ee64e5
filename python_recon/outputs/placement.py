"""Where the voxels of a series lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from python_recon.data import Geometry, ImageSeries
from python_recon.errors import DataError

_PERPENDICULAR = 1e-3
"""Largest cosine of the angle between two directions that are perpendicular."""


@dataclass(frozen=True)
class Placement:
    """The voxel grid of one slice, in patient coordinates (LPS, mm)."""

    first_voxel_mm: np.ndarray
    """(3,) centre of the voxel [0, 0]."""
    x_dir: np.ndarray
    """(3,) unit vector along increasing x (the last axis of the image)."""
    y_dir: np.ndarray
    """(3,) unit vector along increasing y."""
    spacing_mm: tuple[float, float]
    """From voxel to voxel along x and along y."""
    thickness_mm: float
    """0 where it is not known."""

    @classmethod
    def of(cls, series: ImageSeries) -> Placement:
        """From the geometry: voxel n // 2 of either axis is at the position of the slice.

        Raises
        ------
        DataError
            Where directions or field of view are not known.
        """
        geometry, (height, width) = series.geometry, series.images.shape[1:]
        x_dir, y_dir = _unit(geometry.read_dir), _unit(geometry.phase_dir)
        size_x, size_y, size_z = geometry.field_of_view_mm
        is_plane = x_dir.any() and y_dir.any() and abs(float(x_dir @ y_dir)) < _PERPENDICULAR
        if not (is_plane and size_x > 0 and size_y > 0 and np.isfinite(geometry.position_mm).all()):
            raise DataError(_without_place(geometry))
        spacing = (size_x / width, size_y / height)
        centre = np.array(geometry.position_mm, float)
        first = centre - (width // 2) * spacing[0] * x_dir - (height // 2) * spacing[1] * y_dir
        return cls(first, x_dir, y_dir, spacing, max(float(size_z), 0.0))

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector out of the plane; x, y and normal are right-handed."""
        return np.cross(self.x_dir, self.y_dir)

    @property
    def location_mm(self) -> float:
        """Distance of the plane from the origin, along the normal."""
        return float(self.first_voxel_mm @ self.normal)


def _unit(direction: tuple[float, float, float]) -> np.ndarray:
    vector = np.nan_to_num(np.array(direction, float))
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def _without_place(geometry: Geometry) -> str:
    return (
        "the position of the images is not known: "
        f"position {geometry.position_mm}, read direction {geometry.read_dir}, phase direction "
        f"{geometry.phase_dir}, field of view {geometry.field_of_view_mm} mm; expected perpendicular "
        "directions and a field of view above 0. They come from the readouts and from the header's "
        "reconSpace; "
        "for converted arrays, give `convert` --read-direction, --phase-direction and --position"
    )
