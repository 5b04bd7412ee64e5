"""ImageSeries to ISMRMRD images."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gadgets.translate.images import HEADROOM, ImageState, coil_map_image, images_from
from python_recon.config import OutputConfig
from python_recon.data import Counters, Geometry, ImageSeries, Scan
from python_recon.errors import DataError

SCAN = Scan((5, 7), (5, 14), (350.0, 250.0, 8.0), (700.0, 250.0, 8.0))
GEOMETRY = Geometry(
    position_mm=(10.0, -20.0, 30.0),
    read_dir=(0.0, 1.0, 0.0),
    phase_dir=(0.0, 0.0, 1.0),
    slice_dir=(1.0, 0.0, 0.0),
    table_position_mm=(0.0, 0.0, -77.0),
    field_of_view_mm=(350.0, 250.0, 8.0),
)


def series(frames=2, peak=1.0, seed=0, **fields):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((frames, 5, 7)) + 1j * rng.standard_normal((frames, 5, 7))
    images *= peak / np.abs(images).max()
    settings = {"method": "grasp", "series_index": 2, "geometry": GEOMETRY, **fields}
    return ImageSeries(images.astype(np.complex64), **settings)


def convert(*all_series, state=None, **output):
    state = state or ImageState()
    return [image for one in all_series for image in images_from(one, SCAN, OutputConfig(**output), state)]


def test_x_is_the_fastest_axis():
    """An asymmetric image keeps its orientation, in the array, in the header and on the wire."""
    one = series(1)
    (image,) = convert(one, dtype="float32")
    assert image.data.shape == (1, 1, 5, 7)
    assert tuple(image.getHead().matrix_size) == (7, 5, 1)
    np.testing.assert_array_equal(image.data[0, 0], np.abs(one.images[0]))
    pixels = np.frombuffer(image.to_bytes()[-4 * 35 :], np.float32)
    np.testing.assert_array_equal(pixels[:7], np.abs(one.images[0, 0]))


def test_geometry_and_times():
    one = series(
        times_s=np.array([1.0, 2.005]),
        physiology_s=np.array([[0.1, 0, 0], [0.2, 0.0025, 0]]),
        counters=Counters(slice=3, contrast=1, phase=2, set=4, average=1, repetition=9),
        first_frame=6,
    )
    image = convert(one)[1]
    assert tuple(image.field_of_view) == (350, 250, 8)
    assert tuple(image.position) == (10, -20, 30)
    assert tuple(image.read_dir) == (0, 1, 0)
    assert tuple(image.phase_dir) == (0, 0, 1)
    assert tuple(image.slice_dir) == (1, 0, 0)
    assert tuple(image.patient_table_position) == (0, 0, -77)
    assert image.acquisition_time_stamp == 802
    assert tuple(image.physiology_time_stamp) == (80, 1, 0)
    assert (image.slice, image.contrast, image.phase, image.set, image.average) == (3, 1, 2, 4, 1)
    assert image.repetition == 7


def test_without_an_extent_of_its_own_an_image_has_the_scan_s():
    (image,) = convert(series(1, geometry=Geometry()))
    assert tuple(image.field_of_view) == (350, 250, 8)


def test_indices_are_unique_and_rise_within_a_series():
    slices = [series(2, counters=Counters(slice=number)) for number in range(2)]
    preview = series(3, series_index=1)
    got = convert(slices[0], preview, slices[1], state=ImageState(measurement_uid=41))
    numbers = [(image.image_series_index, image.image_index) for image in got]
    assert numbers == [(2, 1), (2, 2), (1, 1), (1, 2), (1, 3), (2, 3), (2, 4)]
    assert {image.measurement_uid for image in got} == {41}


@pytest.mark.parametrize("bits", [12, 16])
def test_one_scale_for_a_series(bits):
    first, later = series(2, peak=3e-6), series(1, peak=4.5e-6, seed=1)
    got = convert(first, later, bits=bits)
    assert got[0].data.dtype == np.uint16
    assert got[0].image_type == 1
    scale = (2**bits - 1) / HEADROOM / 3e-6
    for image, original in zip(got, [*first.images, *later.images], strict=True):
        np.testing.assert_allclose(image.data[0, 0], scale * np.abs(original), atol=0.51)
    assert [float(image.meta["scale"]) for image in got] == pytest.approx([scale] * 3)


def test_every_series_has_its_own_scale():
    state = ImageState()
    convert(series(peak=1.0, series_index=1), series(peak=1000.0), state=state)
    assert state.series[1].scale == pytest.approx(1000 * state.series[2].scale)


def test_clipped_voxels_are_counted_and_told(caplog):
    state = ImageState()
    bright = series(1, peak=5.0)
    *_, image = convert(series(1, peak=1.0), bright, state=state)
    n_clipped = np.count_nonzero(np.abs(bright.images) > HEADROOM * (1 + 1e-3))
    assert n_clipped > 3
    assert state.series[2].n_clipped == n_clipped
    assert image.data.max() == 4095
    with caplog.at_level(logging.WARNING):
        state.log_clipping()
    assert f"{n_clipped} voxels of series 2" in caplog.text


def test_an_empty_first_frame_does_not_fix_the_scale():
    empty = ImageSeries(np.zeros((1, 5, 7), np.complex64), "gridding", 1)
    state = ImageState()
    got = convert(empty, series(1, series_index=1), state=state)
    assert got[0].data.max() == 0
    assert got[1].data.max() == round(4095 / HEADROOM)


def test_complex_images_are_sent_as_they_are():
    one = series(2)
    got = convert(one, dtype="complex64")
    np.testing.assert_array_equal([image.data[0, 0] for image in got], one.images)
    assert {image.image_type for image in got} == {5}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_images_with_nan_are_not_sent(bad):
    one = series(1)
    one.images[0, 2, 3] = bad
    with pytest.raises(DataError, match="NaN or Inf"):
        convert(one)


def test_meta():
    details = {"seconds": 1.25, "iterations": 30, "loss": [3.0, 2.0], "long": [0.0] * 300, "nested": {"a": 1}}
    (image,) = convert(series(1, comment="fell back to gridding", details=details))
    meta = image.meta
    for prefix in ("", "GADGETRON_"):
        assert meta[f"{prefix}DataRole"] == "Image"
        assert meta[f"{prefix}WindowCenter"] == str(int(meta["WindowCenter"]))
        assert int(meta[f"{prefix}WindowWidth"]) > 0
        assert meta[f"{prefix}ImageProcessingHistory"] == ["gadgetron-pisco", "grasp"]
    assert meta["SeriesDescriptionAdditional"] == meta["GADGETRON_SeriesDescription"] == "grasp"
    assert meta["ImageComments"] == meta["GADGETRON_ImageComment"] == "fell back to gridding"
    assert [float(cosine) for cosine in meta["ImageRowDir"]] == [0, 1, 0]
    assert [float(cosine) for cosine in meta["ImageColumnDir"]] == [0, 0, 1]
    assert meta["Keep_image_geometry"] == "1"
    assert meta["recon_seconds"] == "1.25"
    assert meta["recon_iterations"] == "30"
    assert meta["recon_loss"] == ["3", "2"]
    assert not {"recon_long", "recon_nested"} & meta.keys()


def test_the_series_description_can_be_set():
    (image,) = convert(series(1), series_description="radial")
    assert image.meta["GADGETRON_SeriesDescription"] == "radial"


def test_one_window_for_a_series():
    got = convert(series(2), series(2, peak=0.2, seed=4))
    assert len({(image.meta["WindowCenter"], image.meta["WindowWidth"]) for image in got}) == 1


def test_coil_maps_are_one_complex_image_with_a_channel_for_each_coil():
    maps = (
        np.random.default_rng(3).standard_normal((4, 5, 7, 2)).astype(np.float32).view(np.complex64)[..., 0]
    )
    details, counters = {"coil_maps": "nlinv"}, Counters(slice=3)
    one = series(2, coil_maps=maps, details=details, counters=counters, times_s=np.array([1.0, 2.0]))
    state = ImageState(measurement_uid=41)
    image, second = coil_map_image(one, SCAN, state), coil_map_image(one, SCAN, state)
    np.testing.assert_array_equal(image.data[:, 0], maps)
    assert tuple(image.getHead().matrix_size) == (7, 5, 1)
    assert (image.image_series_index, image.image_index, second.image_index) == (3, 1, 2)
    assert (image.image_type, image.slice, image.measurement_uid) == (5, 3, 41)
    assert tuple(image.position) == (10, -20, 30)
    assert (image.meta["DataRole"], image.meta["method"]) == ("CoilMaps", "nlinv")
