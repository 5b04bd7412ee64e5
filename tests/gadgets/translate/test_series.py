"""ISMRMRD images in a file to series."""

from __future__ import annotations

from contextlib import closing

import ismrmrd
import numpy as np
import pytest

from gadgets.translate.images import ImageState, coil_map_image, images_from
from gadgets.translate.series import read_series, series_of_channels
from python_recon.config import OutputConfig
from python_recon.data import Counters, Geometry, ImageSeries, Scan
from python_recon.outputs.series import join_series

SCAN = Scan((5, 7), (5, 7), (350.0, 250.0, 8.0), (350.0, 250.0, 8.0))
DETAILS = {
    "seconds_method": 1.5,
    "steps": 60,
    "stopped": "convergence",
    "losses": [3.0, 0.25],
    "held_out": [0.5],
    "coil_maps": "nlinv",
}


@pytest.fixture
def write(tmp_path):
    """Writes images to a file, in their order."""

    def write(*images):
        path = tmp_path / "images.h5"
        with closing(ismrmrd.Dataset(str(path), "dataset")) as dataset:
            for image in images:
                dataset.append_image(f"image_{image.image_series_index}", image)
        return path

    return write


def sent(number, **fields):
    """A slice of two frames as it is reconstructed."""
    rng = np.random.default_rng(number)
    geometry = Geometry((1.0, 2.0, 8.0 * number), field_of_view_mm=(350.0, 250.0, 8.0))
    images = rng.uniform(1, 2, (2, 5, 7)).astype(np.complex64)
    times = np.array([1.0, 1.5]) + number
    return ImageSeries(images, "grasp", 2, geometry, Counters(slice=number), times, **fields)


def test_what_is_sent_comes_back(write):
    series = [sent(number, details=DETAILS, comment="so it is") for number in (0, 1)]
    state = ImageState(measurement_uid=7)
    path = write(*(image for one in series for image in images_from(one, SCAN, FLOATS, state)))
    for one, read in zip(series, join_series(read_series(path)), strict=True):
        np.testing.assert_array_equal(read.images, one.images)
        np.testing.assert_allclose(read.times_s, one.times_s)
        assert (read.method, read.series_index, read.counters) == (one.method, 2, one.counters)
        assert (read.geometry, read.comment, read.measurement_id) == (one.geometry, "so it is", "7")
        assert read.first_frame == 0, "frames are counted in each slice"
        assert read.details.pop("plugin_version")
        assert read.details == DETAILS | {"held_out": 0.5}  # a list of one is no list in an attribute


FLOATS = OutputConfig(dtype="float32")


def test_partitions_of_a_volume_lie_side_by_side(write):
    volume = np.arange(4 * 5 * 7, dtype=np.float32).reshape(4, 5, 7)
    image = ismrmrd.Image.from_array(volume, transpose=False, image_series_index=1)
    image.position, image.slice_dir, image.field_of_view = (1, 2, 3), (0, 0, 1), (70, 50, 40)
    series = list(read_series(write(image)))
    assert [one.geometry.position_mm[2] for one in series] == [-17, -7, 3, 13]
    assert [one.counters.slice for one in series] == [0, 1, 2, 3]
    assert series[0].geometry.field_of_view_mm == (70, 50, 10)
    np.testing.assert_array_equal(series[1].images[0].real, volume[1])


def test_coil_maps_are_no_frames(write):
    maps = np.ones((3, 5, 7), np.complex64) * np.array([1, 2j, 3], np.complex64)[:, None, None]
    one = sent(0, details=DETAILS, coil_maps=maps)
    image = coil_map_image(one, SCAN, ImageState())
    assert list(read_series(write(image))) == []
    read = series_of_channels(image)
    np.testing.assert_array_equal(read.images, maps)
    assert (read.method, read.series_index, read.geometry) == ("nlinv", 3, one.geometry)
