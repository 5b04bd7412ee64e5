import itertools

import numpy as np
import pytest

from python_recon.data import Geometry, ImageSeries
from python_recon.outputs.orientation import as_on_screen

AXES = np.eye(3)
SCREENS = {
    (0, 1): ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    (0, 2): ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    (1, 2): ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
"""Directions to the right and to the bottom of the screen, by the axes of the plane."""


def series_of(volume, read, phase, slice_index):
    """A slice of a volume (x, y, z in LPS), cut along the signed axes ``read`` and ``phase``."""
    cut = np.moveaxis(volume, (phase[0], read[0]), (0, 1))[..., slice_index]
    image = cut[:: phase[1], :: read[1]]
    geometry = Geometry(
        read_dir=tuple(read[1] * AXES[read[0]]),
        phase_dir=tuple(phase[1] * AXES[phase[0]]),
        field_of_view_mm=(float(image.shape[1]), float(image.shape[0]), 5.0),
    )
    return ImageSeries(image[None].astype(np.complex64), "gridding", 2, geometry=geometry)


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=2)))
@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ((0, 1), lambda v: v[:, :, 1].T),  # axial: left of the patient at the right, back at the bottom
        ((0, 2), lambda v: v[:, 1, ::-1].T),  # coronal: left at the right, feet at the bottom
        ((1, 2), lambda v: v[1, :, ::-1].T),  # sagittal: back at the right, feet at the bottom
    ],
)
@pytest.mark.parametrize("is_swapped", [False, True])
def test_any_cut_is_shown_in_the_customary_view(plane, expected, signs, is_swapped):
    volume = np.random.default_rng(4).random((4, 5, 6)).astype(np.float32)
    axes = plane[::-1] if is_swapped else plane
    shown = as_on_screen(series_of(volume, (axes[0], signs[0]), (axes[1], signs[1]), 1))

    view = expected(volume)
    np.testing.assert_array_equal(shown.images[0].real, view)
    assert shown.geometry.field_of_view_mm == (view.shape[1], view.shape[0], 5.0)
    assert (shown.geometry.read_dir, shown.geometry.phase_dir) == SCREENS[plane]


def test_an_oblique_slice_takes_the_nearest_view():
    tilt = np.deg2rad(30)
    geometry = Geometry(
        read_dir=(-np.cos(tilt), np.sin(tilt), 0.0), phase_dir=(-np.sin(tilt), -np.cos(tilt), 0.0)
    )
    image = np.arange(6, dtype=np.complex64).reshape(1, 2, 3)
    shown = as_on_screen(ImageSeries(image, "gridding", 2, geometry=geometry))
    np.testing.assert_array_equal(shown.images, image[:, ::-1, ::-1])
