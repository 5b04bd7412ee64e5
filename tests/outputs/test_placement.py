from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import Geometry
from python_recon.errors import DataError
from python_recon.outputs.orientation import as_on_screen
from python_recon.outputs.placement import Placement
from tests.outputs.places import PLANES, bright_voxels, place_of_voxel


def place_of_brightest(series):
    place = Placement.of(series)
    y, x = np.unravel_index(np.abs(series.images[0]).argmax(), series.images.shape[1:])
    across, down = place.spacing_mm
    return place.first_voxel_mm + x * across * place.x_dir + y * down * place.y_dir


@pytest.mark.parametrize("shape", [(12, 16), (13, 17), (13, 16)])
@pytest.mark.parametrize("plane", PLANES)
def test_turning_to_the_screen_moves_nothing_in_the_patient(plane, shape):
    (series,) = bright_voxels(plane, shape)
    np.testing.assert_allclose(place_of_brightest(series), place_of_voxel(series), atol=1e-4)
    np.testing.assert_allclose(place_of_brightest(as_on_screen(series)), place_of_voxel(series), atol=1e-4)


def test_directions_are_of_unit_length_and_the_normal_right_handed():
    (series,) = bright_voxels("oblique")
    geometry = series.geometry
    long = replace(series, geometry=replace(geometry, read_dir=tuple(2 * np.array(geometry.read_dir))))
    place = Placement.of(long)
    np.testing.assert_allclose(np.linalg.norm([place.x_dir, place.y_dir, place.normal], axis=1), 1)
    np.testing.assert_allclose(place.normal, geometry.slice_dir, atol=1e-6)
    assert (place.spacing_mm, place.thickness_mm) == ((20.0, 15.0), 8.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"read_dir": (0.0, 0.0, 0.0)},
        {"phase_dir": (1.0, 0.0, 0.0), "read_dir": (0.8, 0.6, 0.0)},
        {"field_of_view_mm": (0.0, 300.0, 8.0)},
        {"position_mm": (float("nan"), 0.0, 0.0)},
    ],
)
def test_a_place_that_is_not_known_is_told(changes):
    (series,) = bright_voxels("transverse")
    with pytest.raises(DataError, match="the position of the images is not known"):
        Placement.of(replace(series, geometry=replace(Geometry(field_of_view_mm=(1.0, 1.0, 1.0)), **changes)))
