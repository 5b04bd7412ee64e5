from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from python_recon import chain
from python_recon.comparison import HOLD_OUT_EVERY, compare
from python_recon.config import load_config
from python_recon.data import KSpace
from python_recon.errors import BackendError, ConfigError, DataError, ShapeError
from python_recon.held_out import every_kth_spoke, middle_spokes, select
from python_recon.metrics import match_scale, nrmse
from python_recon.phantom.heart import HeartPhantom

N_FRAMES, N_SPOKES, N_COILS, MATRIX = 5, 21, 4, (48, 48)

CONFIG = load_config(
    {"method": "cg_sense", "coils.virtual": N_COILS, "coils.maps": "walsh", "trajectory.correct_delay": "off"}
)


@pytest.fixture(scope="module")
def measurement() -> tuple[KSpace, np.ndarray]:
    """k-space of the analytic phantom with noise, and the truth at the frames' times."""
    phantom = HeartPhantom(n_coils=N_COILS, breathing_amplitude_mm=0)
    index = np.arange(N_FRAMES * N_SPOKES)
    angle = np.deg2rad(111.246117975 * index)
    radius = (np.arange(2 * MATRIX[1]) - MATRIX[1]) / 2
    trajectory = (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]).astype(np.float32)
    times_s = 0.003 * index
    data = phantom.kspace(trajectory, times_s) * np.sqrt(MATRIX[0] * MATRIX[1])
    noise = np.random.default_rng(1).normal(scale=0.01, size=(*data.shape, 2)).view(complex)[..., 0]
    frames_of_spokes = (N_FRAMES, N_SPOKES)
    by_frame = (data + noise).astype(np.complex64).reshape(N_COILS, *frames_of_spokes, -1).swapaxes(0, 1)
    spoke_times_s = times_s.reshape(frames_of_spokes)
    centres_s = spoke_times_s.mean(axis=1)
    kspace = KSpace(
        data=by_frame,
        trajectory=trajectory.reshape(*frames_of_spokes, -1, 2),
        matrix=MATRIX,
        spoke_times_s=spoke_times_s,
        times_s=centres_s,
    )
    return kspace, phantom.image(centres_s, MATRIX)


def test_methods_are_scored_against_the_truth(measurement):
    kspace, truth = measurement
    comparison = compare(kspace, ["gridding", "cg_sense"], CONFIG, truth=truth)
    gridding, cg_sense = comparison.rows
    assert cg_sense.scores["nrmse"] < 0.8 * gridding.scores["nrmse"]
    assert cg_sense.scores["ssim"] > gridding.scores["ssim"]
    assert {"psnr", "fsim", "fsim_xt"} <= gridding.scores.keys()
    assert gridding.scores["nrmse"] == pytest.approx(nrmse(comparison.images["gridding"], truth), rel=1e-6)
    assert "held_out_error" not in gridding.scores
    assert gridding.usage.seconds > 0
    np.testing.assert_allclose(comparison.truth, np.abs(truth))


def test_images_are_on_the_scale_of_the_truth(measurement):
    kspace, truth = measurement
    comparison = compare(kspace, ["gridding"], CONFIG, truth=1000 * truth)
    image = comparison.images["gridding"]
    assert (image * np.abs(1000 * truth)).sum() / (image**2).sum() == pytest.approx(1)


def test_retrospective_undersampling_is_a_scan_with_fewer_spokes(measurement):
    kspace, truth = measurement
    comparison = compare(kspace, ["cg_sense"], CONFIG, truth=truth, retrospective_spokes=9)
    fewer = select(kspace, middle_spokes(kspace, 9))
    assert fewer.data.shape == (N_FRAMES, N_COILS, 9, 96)
    expected = chain.reconstruct_slice(fewer, CONFIG, "cg_sense").images
    np.testing.assert_allclose(
        comparison.images["cg_sense"], match_scale(expected, truth), rtol=1e-4, atol=1e-5
    )
    assert "5 frames of 9 spokes, of 21 measured." in comparison.notes


def test_held_out_spokes_rank_methods_without_a_truth(measurement):
    comparison = compare(measurement[0], ["gridding", "cg_sense"], CONFIG)
    gridding, cg_sense = (row.scores["held_out_error"] for row in comparison.rows)
    assert 0.02 < cg_sense < gridding < 1
    assert comparison.truth is None
    assert set(comparison.images) == {"gridding", "cg_sense"}


def test_no_method_sees_what_is_held_out(measurement):
    kspace, _ = measurement
    held = every_kth_spoke(kspace, HOLD_OUT_EVERY)
    spoilt = replace(kspace, data=np.where(held[:, None, :, None], 50 * kspace.data[:, ::-1], kspace.data))
    before, after = (compare(each, ["cg_sense"], CONFIG) for each in (kspace, spoilt))
    np.testing.assert_allclose(after.images["cg_sense"], before.images["cg_sense"], rtol=1e-5)
    assert before.rows[0].scores["held_out_error"] < 0.7
    assert after.rows[0].scores["held_out_error"] > 0.95


def test_spokes_that_are_left_out_are_the_held_out_ones(measurement):
    comparison = compare(measurement[0], ["cg_sense"], CONFIG, retrospective_spokes=13)
    assert "Held out: 8 spokes a frame, which no method saw." in comparison.notes
    assert 0.02 < comparison.rows[0].scores["held_out_error"] < 1


def test_a_method_that_fails_does_not_stop_the_others(measurement, monkeypatch):
    kspace, truth = measurement
    reconstruct = chain.reconstruct_slice

    def fail_at_cg_sense(kspace, config, method):
        if method == "cg_sense":
            raise BackendError("the device is gone")
        return reconstruct(kspace, config, method)

    monkeypatch.setattr(chain, "reconstruct_slice", fail_at_cg_sense)
    comparison = compare(kspace, ["cg_sense", "gridding"], CONFIG, truth=truth)
    assert set(comparison.images) == {"gridding"}
    header, (failed, good) = comparison.as_table()
    assert header[0] == "Method"
    assert header[-1] == "Remarks"
    assert failed == ["cg_sense", *["–"] * (len(header) - 2), "the device is gone"]
    assert good[header.index("NRMSE")] == f"{comparison.rows[1].scores['nrmse']:.4f}"


def test_numbers_are_json(measurement):
    comparison = compare(measurement[0], ["gridding"], CONFIG)
    loaded = json.loads(json.dumps(comparison.as_json()))
    assert loaded["rows"][0]["method"] == "gridding"
    assert loaded["rows"][0]["usage"]["seconds"] == comparison.rows[0].usage.seconds
    assert loaded["notes"] == list(comparison.notes)


def test_what_cannot_be_compared(measurement):
    kspace, truth = measurement
    with pytest.raises(ShapeError, match=r"\(4, 48, 48\).*\(5, 48, 48\)"):
        compare(kspace, ["gridding"], CONFIG, truth=truth[:-1])
    with pytest.raises(ConfigError, match="gridding"):
        compare(kspace, ["griding"], CONFIG)
    with pytest.raises(DataError, match="22 spokes"):
        compare(kspace, ["gridding"], CONFIG, retrospective_spokes=22)
    with pytest.raises(DataError, match="held out"):
        compare(kspace, ["gridding"], CONFIG, retrospective_spokes=21)
