from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.spokes import every_kth_spoke, middle_spokes, select
from python_recon.config import load_config
from python_recon.data import KSpace
from python_recon.errors import BackendError, ConfigError, DataError, ShapeError
from python_recon.evaluation.comparison import Sampling, compare
from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.evaluation.splitting import HOLD_OUT_EVERY
from python_recon.phantom.heart import HeartPhantom
from python_recon.stream import chain

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
    assert {
        "psnr",
        "fsim",
        "fsim_xt",
        "fsim_yt",
        "psnr_xt",
        "psnr_yt",
        "hfen",
        "gmsd",
    } <= gridding.scores.keys()
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
    assert comparison.sampling == Sampling(N_FRAMES, measured="21", kept="9", held_out=None)


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
    assert comparison.sampling == Sampling(N_FRAMES, measured="21", kept="13", held_out="8")
    assert 0.02 < comparison.rows[0].scores["held_out_error"] < 1


def test_a_method_that_fails_does_not_stop_the_others(measurement, monkeypatch):
    kspace, truth = measurement
    reconstruct = chain.reconstruct_slice

    def fail_at_cg_sense(kspace, config, method, budget):
        if method == "cg_sense":
            raise BackendError("the device is gone")
        return reconstruct(kspace, config, method, budget)

    monkeypatch.setattr(chain, "reconstruct_slice", fail_at_cg_sense)
    comparison = compare(kspace, ["cg_sense", "gridding"], CONFIG, truth=truth)
    assert set(comparison.images) == {"gridding"}
    failed, good = comparison.rows
    assert (failed.usage, failed.scores, failed.comment) == (None, {}, "the device is gone")
    assert good.usage.seconds > 0


def test_nothing_of_the_spokes_left_out_reaches_a_method(measurement):
    """Not even the virtual coils, the field of view or the delay that they would ask for."""
    kspace, truth = measurement
    config = CONFIG.model_copy(
        update={
            "coils": CONFIG.coils.model_copy(update={"virtual": 2}),
            "trajectory": CONFIG.trajectory.model_copy(update={"correct_delay": "on"}),
        }
    )
    left_out = ~middle_spokes(kspace, 13)
    spoilt = replace(
        kspace, data=np.where(left_out[:, None, :, None], 50 * kspace.data[:, ::-1], kspace.data)
    )
    before, after = (
        compare(each, ["cg_sense"], config, truth=truth, retrospective_spokes=13) for each in (kspace, spoilt)
    )
    np.testing.assert_allclose(after.images["cg_sense"], before.images["cg_sense"], rtol=1e-5)


def test_progress_names_the_method_and_ends_with_the_last(measurement):
    told = []
    compare(measurement[0], ["gridding", "cg_sense"], CONFIG, report=lambda *news: told.append(news))
    stages, shares = zip(*told, strict=True)
    assert stages[0] == "gridding"
    assert stages[-1] == "cg_sense"
    assert list(shares) == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_the_normalisation_is_that_of_the_scores(measurement):
    kspace, truth = measurement
    by_factor, published = (
        compare(kspace, ["gridding"], CONFIG, truth=truth, normalisation=name)
        for name in ("least_squares", "percentile")
    )
    assert by_factor.rows[0].scores["nrmse"] != published.rows[0].scores["nrmse"]
    np.testing.assert_allclose(by_factor.images["gridding"], published.images["gridding"], rtol=1e-5)
    assert published.normalisation == "percentile"


def test_what_cannot_be_compared(measurement):
    kspace, truth = measurement
    with pytest.raises(ShapeError, match=r"\(4, 48, 48\).*\(5, 48, 48\)"):
        compare(kspace, ["gridding"], CONFIG, truth=truth[:-1])
    with pytest.raises(DataError, match="zero everywhere"):
        compare(kspace, ["gridding"], CONFIG, truth=np.zeros_like(truth))
    with pytest.raises(ConfigError, match="gridding"):
        compare(kspace, ["griding"], CONFIG)
    with pytest.raises(DataError, match="22 spokes"):
        compare(kspace, ["gridding"], CONFIG, retrospective_spokes=22)
    with pytest.raises(DataError, match="held out"):
        compare(kspace, ["gridding"], CONFIG, retrospective_spokes=21)
