"""Series with one bright voxel each, and where it lies in the patient."""

from __future__ import annotations

import numpy as np

from python_recon.data import Counters, Geometry, ImageSeries

TILT, TURN = np.deg2rad(20.0), np.deg2rad(-10.0)
PLANES = {
    "transverse": ((1, 0, 0), (0, 1, 0)),
    "turned": ((0, -1, 0), (-1, 0, 0)),
    "coronal": ((0, 0, 1), (1, 0, 0)),
    "sagittal": ((0, -1, 0), (0, 0, 1)),
    "oblique": (
        (np.cos(TURN), np.sin(TURN), 0),
        (-np.sin(TURN) * np.cos(TILT), np.cos(TURN) * np.cos(TILT), np.sin(TILT)),
    ),
}
"""Read and phase direction."""
VOXEL = (3, 11)
"""y and x of the bright voxel."""


def vector(values):
    return tuple(float(value) for value in values)


def bright_voxels(plane, shape=(12, 16), n_slices=1, n_frames=2, distance_mm=9.0, **fields):
    """A series for each slice; the voxel's brightness tells slice and frame: 100 (slice + 1) + frame."""
    read, phase = np.array(PLANES[plane], float)
    normal = np.cross(read, phase)
    made = []
    for number in range(n_slices):
        images = np.zeros((n_frames, *shape), np.complex64)
        images[:, VOXEL[0], VOXEL[1]] = 100 * (number + 1) + np.arange(n_frames)
        geometry = Geometry(
            position_mm=vector(np.array([12.0, -20.0, 35.0]) + number * distance_mm * normal),
            read_dir=vector(read),
            phase_dir=vector(phase),
            slice_dir=vector(normal),
            field_of_view_mm=(320.0, 180.0, 8.0),
        )
        times = 36_000 + 0.05 * np.arange(n_frames) + 2 * number
        settings = {"times_s": times, "details": {"plugin_version": "1.2.3"}, **fields}
        made.append(ImageSeries(images, "grasp", 2, geometry, Counters(slice=number), **settings))
    return made


def place_of_voxel(series):
    """(3,) LPS in mm, as ISMRMRD has it: voxel n // 2 lies at the position of the image."""
    geometry, (height, width) = series.geometry, series.images.shape[1:]
    x = (VOXEL[1] - width // 2) * geometry.field_of_view_mm[0] / width
    y = (VOXEL[0] - height // 2) * geometry.field_of_view_mm[1] / height
    return np.array(geometry.position_mm) + x * np.array(geometry.read_dir) + y * np.array(geometry.phase_dir)
