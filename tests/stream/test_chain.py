"""Readouts in, image series out: the whole chain without a wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.config import load_config
from python_recon.data import FINAL_SERIES, PREVIEW_SERIES, ImageSeries, Readout
from python_recon.errors import DataError
from python_recon.evaluation.metrics import match_scale, psnr
from python_recon.phantom import HeartPhantom
from python_recon.stream import previews
from python_recon.stream.chain import image_matrix, reconstruct_stream
from tests.heart_stream import COILS, FRAMES, MATRIX, SCAN, SPOKES
from tests.heart_stream import readouts as simulated


@cache
def scan_of(slices: tuple[int, ...] = (0,)) -> tuple[Readout, ...]:
    """A scan that all tests share, so none may change its samples."""
    scan = tuple(simulated(slices))
    for readout in scan:
        readout.data.flags.writeable = False
    return scan


def readouts(slices: tuple[int, ...] = (0,)) -> Iterator[Readout]:
    return iter(scan_of(slices))


@cache
def truth_of(matrix: int) -> np.ndarray:
    """(frame, y, x) magnitude of the object at the middle of each frame."""
    middle = 0.003 * (SPOKES * (np.arange(FRAMES) + 0.5) - 0.5)
    return np.abs(HeartPhantom(n_coils=COILS).reference(middle, (matrix, matrix)))


def run(slices=(0,), **settings) -> list[ImageSeries]:
    return list(reconstruct_stream(readouts(slices), SCAN, load_config(settings)))


@pytest.fixture(scope="module")
def truth():
    return truth_of(MATRIX)


def test_previews_come_first_and_the_method_last():
    series = run(method="cg_sense")
    assert [each.series_index for each in series] == [PREVIEW_SERIES] * FRAMES + [FINAL_SERIES]
    assert [each.first_frame for each in series[:-1]] == list(range(FRAMES))
    assert [each.method for each in series] == ["gridding"] * FRAMES + ["cg_sense"]
    assert series[-1].images.shape == (FRAMES, MATRIX, MATRIX)
    assert series[-1].images.dtype == np.complex64


def test_a_preview_does_not_wait_for_the_scan():
    taken = 0

    def counted():
        nonlocal taken
        for readout in readouts():
            taken += 1
            yield readout

    first = next(iter(reconstruct_stream(counted(), SCAN, load_config({"method": "cg_sense"}))))
    assert first.series_index == PREVIEW_SERIES
    assert taken <= 4 + SPOKES + 8, "the frame, the noise scan and a small look-ahead"


def test_where_the_method_is_the_preview_nothing_is_made_twice():
    assert [each.series_index for each in run(method="gridding")] == [PREVIEW_SERIES] * FRAMES


def test_without_a_preview_there_is_only_the_method():
    assert [each.series_index for each in run(method="gridding", preview="none")] == [FINAL_SERIES]


@pytest.mark.parametrize(
    ("method", "least"),
    [("gridding", 18), ("cg_sense", 23), ("grasp", 30), ("subspace", 30), ("xd_grasp", 30)],
)
def test_images_are_those_of_the_object(truth, method, least):
    images = np.abs(run(method=method, preview="none")[0].images)
    assert psnr(match_scale(images, truth), truth) > least


def test_slices_are_kept_apart_and_all_made():
    series = run((0, 1), method="cg_sense", preview="none")
    assert [each.counters.slice for each in series] == [0, 1]
    assert [each.geometry.position_mm[2] for each in series] == [0.0, 10.0]
    np.testing.assert_allclose(np.abs(series[0].images).mean(), np.abs(series[1].images).mean(), rtol=0.05)


def test_what_travels_with_the_data_comes_out():
    (series,) = run(method="gridding", preview="none")
    middle = 0.003 * (SPOKES * np.arange(FRAMES) + (SPOKES - 1) / 2)
    np.testing.assert_allclose(series.times_s, 1.0 + middle)
    np.testing.assert_allclose(series.physiology_s[:, 0], 0.1 + middle)
    assert series.measurement_id == "test_1"
    assert series.geometry.field_of_view_mm == (300.0, 300.0, 8.0)
    assert series.details["virtual_coils"] <= COILS
    assert series.details["seconds_method"] > 0


@pytest.mark.parametrize("matrix", [32, 64])
def test_another_matrix_shows_the_same_object(matrix):
    (series,) = run(method="grasp", preview="none", matrix=matrix)
    truth = truth_of(matrix)
    assert psnr(match_scale(np.abs(series.images), truth), truth) > {32: 33, 64: 24}[matrix]


def test_a_preview_that_fails_does_not_cost_the_images(caplog):
    def silent_at_first():
        for readout in readouts():
            is_first = not readout.is_noise and readout.counters.repetition == 0
            yield replace(readout, data=0 * readout.data) if is_first else readout

    settings = {"method": "cg_sense", "coils.virtual": COILS}
    series = list(reconstruct_stream(silent_at_first(), SCAN, load_config(settings)))
    assert series[-1].series_index == FINAL_SERIES
    assert "no preview of frame 0" in caplog.text
    assert np.isfinite(series[-1].images).all()


def test_where_previews_are_all_there_is_their_failure_is_told():
    silent = (replace(readout, data=0 * readout.data) for readout in readouts())
    with pytest.raises(DataError, match="no signal"):
        list(reconstruct_stream(silent, SCAN, load_config({"method": "gridding"})))


def test_correlated_noise_is_whitened_on_the_way(truth):
    """Coils of unequal gain and common noise: whitened, the noise is even and weighted out of the images."""
    rng = np.random.default_rng(3)
    mixing = np.diag([0.3, 1.0, 4.0, 1.0]) @ (np.eye(COILS) + 0.3 * rng.standard_normal((COILS, COILS)))

    def mixed():
        for readout in readouts():
            yield replace(readout, data=(mixing @ readout.data).astype(np.complex64))

    def error(prewhiten):
        settings = {"method": "grasp", "preview": "none", "noise.prewhiten": prewhiten}
        (series,) = reconstruct_stream(mixed(), SCAN, load_config(settings))
        # Whitening inverts the mixing of signal and noise alike: the shading is that of the coils alone.
        return psnr(match_scale(np.abs(series.images), truth), truth)

    assert error(True) > 33
    assert error(True) > error(False) + 3


def test_a_change_of_geometry_makes_a_series_of_its_own():
    def moved():
        for readout in readouts():
            if readout.counters.repetition < 3 or readout.is_noise:
                yield readout
            else:
                yield replace(readout, geometry=replace(readout.geometry, position_mm=(0.0, 0.0, 25.0)))

    settings = {"method": "cg_sense", "preview": "none"}
    series = list(reconstruct_stream(moved(), SCAN, load_config(settings)))
    assert [(each.geometry.position_mm[2], each.n_frames, each.first_frame) for each in series] == [
        (0.0, 3, 0),
        (25.0, 2, 3),
    ]


def test_time_that_is_over_before_a_slice_is_prepared_leaves_it_to_gridding():
    series = run((0, 1), method="grasp", preview="none", max_recon_seconds=1e-3)
    assert [each.method for each in series] == ["gridding", "gridding"]
    assert all("; grasp failed: no time was left" in each.comment for each in series)
    cheap = {"coils.maps": "low_resolution", "trajectory.correct_delay": "off"}
    expected = run((0, 1), method="gridding", preview="none", **cheap)
    for each, alone in zip(series, expected, strict=True):
        np.testing.assert_array_equal(each.images, alone.images)


def test_progress_is_reported():
    reports = []
    settings = load_config({"method": "cg_sense", "preview": "none", "options.iterations": 3})
    list(reconstruct_stream(readouts(), SCAN, settings, lambda stage, done: reports.append((stage, done))))
    assert [round(done, 2) for stage, done in reports if stage == "cg_sense"] == [0.33, 0.67, 1.0]


@pytest.mark.parametrize("center_sample", [0, MATRIX, 500])
def test_a_header_that_does_not_fill_in_the_centre_costs_no_samples(truth, center_sample):
    given = (replace(readout, center_sample=center_sample) for readout in readouts())
    settings = {"method": "cg_sense", "preview": "none"}
    (series,) = reconstruct_stream(given, SCAN, load_config(settings))
    assert psnr(match_scale(np.abs(series.images), truth), truth) > 23


@pytest.mark.parametrize(("method", "least"), [("gridding", 19), ("cg_sense", 23), ("grasp", 33)])
def test_a_field_of_view_that_is_no_square(truth, method, least):
    """In cycles per field of view its k-space is an ellipse."""
    scan = replace(
        SCAN, matrix=(40, MATRIX), encoded_matrix=(40, MATRIX), field_of_view_mm=(300.0, 250.0, 8.0)
    )
    settings = load_config({"method": method, "preview": "none"})
    (series,) = reconstruct_stream(readouts(), scan, settings)
    assert series.images.shape == (FRAMES, 40, MATRIX)
    inner = truth[:, 4:-4]
    assert psnr(match_scale(np.abs(series.images), inner), inner) > least


def test_an_angle_that_is_not_a_number_costs_one_spoke(caplog, truth):
    def spoilt():
        for readout in readouts():
            angle = np.nan if readout.scan_counter == 30 else readout.scan_counter * GOLDEN_ANGLE_DEG + 180
            yield replace(readout, user_float=(angle,))

    scan = replace(SCAN, trajectory_kind="radial")
    settings = load_config({"method": "grasp", "preview": "none"})
    (series,) = reconstruct_stream(spoilt(), scan, settings)
    assert psnr(match_scale(np.abs(series.images), truth), truth) > 30
    assert "readout 30 left out" in caplog.text


def test_a_preview_survives_what_the_ladder_survives(monkeypatch, caplog):
    def fail(*_):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(previews, "compression_matrix", fail)
    assert [each.series_index for each in run(method="cg_sense")] == [FINAL_SERIES]
    assert "no preview of frame 0: singular" in caplog.text


def test_maps_that_fail_are_told_on_the_images(monkeypatch, truth):
    def fail(*_):
        raise torch.linalg.LinAlgError("no convergence")

    monkeypatch.setattr("python_recon.coil_maps.nlinv.maps", fail)
    series = run(method="cg_sense")[-1]
    assert series.comment == "coil maps by 'nlinv' failed (no convergence): they are of low resolution"
    assert psnr(match_scale(np.abs(series.images), truth), truth) > 23


def unflagged_noise(seed=11) -> list[Readout]:
    """Noise of 1 in two of the coils, of 0.3 in the first and of 40 in the third."""
    rng = np.random.default_rng(seed)

    def noise(shape: tuple[int, int]) -> np.ndarray:
        white = rng.normal(size=(*shape, 2)).view(complex)[..., 0]
        return (np.array([[0.3], [1.0], [40.0], [1.0]]) * white).astype(np.complex64)

    return [replace(r, data=noise(r.data.shape)) for r in readouts() if not r.is_noise]


def test_a_scan_of_noise_is_refused():
    with pytest.raises(DataError, match=f"noise only: in {FRAMES * SPOKES} readouts"):
        list(reconstruct_stream(unflagged_noise(), SCAN, load_config({"method": "cg_sense"})))


def test_a_scan_that_drowns_in_noise_is_not_refused():
    """In most coils the noise is five times the signal of blood; one coil is louder than all the others."""
    noise = unflagged_noise()
    signals = [r for r in readouts() if not r.is_noise]
    mixed = [replace(n, data=n.data + 0.2 * s.data) for n, s in zip(noise, signals, strict=True)]
    settings = load_config({"method": "cg_sense", "preview": "none"})
    (series,) = reconstruct_stream(mixed, SCAN, settings)
    assert series.n_frames == FRAMES


@pytest.mark.parametrize(
    ("field_of_view", "matrix", "expected"),
    [
        ((300.0, 300.0), 64, (64, 64)),
        ((300.0, 200.0), 96, (64, 96)),
        ((200.0, 300.0), 96, (96, 64)),
        ((300.0, 250.0), 47, (40, 47)),
        ((300.0, 5.0), 16, (2, 16)),
        ((300.0, 200.0), None, (MATRIX, MATRIX)),
    ],
)
def test_pixels_are_square(field_of_view, matrix, expected):
    scan = replace(SCAN, field_of_view_mm=(*field_of_view, 8.0))
    assert image_matrix(scan, load_config({"matrix": matrix})) == expected


def test_a_set_matrix_keeps_the_shape_of_the_object():
    """A field of view of 300 by 250 mm: pixels are as large along y as along x."""
    scan = replace(SCAN, matrix=(40, MATRIX), field_of_view_mm=(300.0, 250.0, 8.0))
    settings = load_config({"method": "grasp", "preview": "none", "matrix": 72})
    (series,) = reconstruct_stream(readouts(), scan, settings)
    truth = truth_of(72)[:, 6:-6]
    assert series.images.shape == (FRAMES, 60, 72)
    assert psnr(match_scale(np.abs(series.images), truth), truth) > 22
