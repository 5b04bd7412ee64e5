from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from python_recon.evaluation import metrics
from python_recon.evaluation.scoring import Normalisation, truth_scores

N_FRAMES, SHAPE = 8, (48, 40)


@pytest.fixture(scope="module")
def truth():
    """A disc that beats left of the middle of a still body, and one bright pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = 5 + 2 * np.sin(2 * np.pi * np.arange(N_FRAMES) / N_FRAMES)
    body = 0.4 * (np.hypot((y - 24) / 20, (x - 20) / 16) < 1)
    series = body + 0.5 * (np.hypot(y - 22, x - 17) < radius[:, None, None])
    series[:, 24, 20] = 1.5
    return series


def spoilt(truth, level=0.05):
    return truth + level * np.random.default_rng(2).standard_normal(truth.shape)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_the_truth_itself_is_perfect_at_any_scale_and_phase(truth, normalisation):
    found = truth_scores(7 * truth * np.exp(0.3j), truth, normalisation)
    assert found["nrmse"] == pytest.approx(0, abs=1e-7)
    assert found["psnr"] > 120
    for name in ("ssim", "fsim", "fsim_xt", "fsim_yt"):
        assert found[name] == pytest.approx(1, abs=1e-6)


def test_least_squares_scores_the_whole_series_after_one_factor(truth):
    images = spoilt(truth)
    found = truth_scores(37 * images, truth)
    matched = metrics.match_scale(images, truth)
    assert found["nrmse"] == pytest.approx(metrics.nrmse(matched, truth))
    assert found["psnr"] == pytest.approx(metrics.psnr(matched, truth))
    assert found["ssim"] == pytest.approx(metrics.ssim(matched, truth))


def test_percentile_clips_stretches_crops_and_averages_over_frames(truth):
    images = np.abs(spoilt(truth))

    def stretched(series):
        clipped = np.clip(series, None, np.percentile(series, 99))
        return ((clipped - clipped.min()) / (clipped.max() - clipped.min()))[:, 12:36, 10:30]

    first, second = stretched(images), stretched(truth)
    errors = [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(first, second, strict=True)]
    norms = [np.sqrt(np.mean(b**2)) for b in second]
    found = truth_scores(images, truth, "percentile")
    assert found["psnr"] == pytest.approx(np.mean(-20 * np.log10(errors)))
    assert found["nrmse"] == pytest.approx(np.mean(np.divide(errors, norms)))
    assert found["ssim"] == pytest.approx(metrics.ssim(first, second, 1.0))


def test_what_percentile_crops_away_does_not_count(truth):
    images = truth.copy()
    images[:, :8, :8] += 0.3
    assert truth_scores(images, truth, "percentile")["ssim"] == pytest.approx(1)
    assert truth_scores(images, truth)["ssim"] < 0.995


def test_profiles_see_errors_in_the_band_only(truth):
    below = truth.copy()
    below[:, 40:44] += 0.3 * np.random.default_rng(3).random((N_FRAMES, 4, SHAPE[1]))
    found, perfect = truth_scores(below, truth), truth_scores(truth, truth)
    assert found["psnr_xt"] > found["psnr_yt"] + 3, "rows below the band are crossed by columns only"
    assert found["fsim_yt"] < perfect["fsim_yt"]


def test_profiles_tell_a_series_without_motion(truth):
    frozen = np.broadcast_to(truth.mean(axis=0), truth.shape)
    found = truth_scores(frozen, truth)
    assert found["fsim_xt"] < found["fsim"] - 0.02


def test_smearing_costs_the_profiles_more_than_noise_of_the_same_energy(truth):
    frozen = np.broadcast_to(truth.mean(axis=0), truth.shape)
    noisy = spoilt(truth, (frozen - truth).std())
    smeared, even = truth_scores(frozen, truth), truth_scores(noisy, truth)
    assert smeared["psnr"] == pytest.approx(even["psnr"], abs=0.3)
    assert smeared["psnr_profiles"] < even["psnr_profiles"] - 3
    assert smeared["psnr_profiles"] == pytest.approx((smeared["psnr_xt"] + smeared["psnr_yt"]) / 2)


def test_edges_that_take_longer_than_those_of_the_truth():
    """A disc that grows fast, and the same smeared over three frames."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = 5 + 4 / (1 + np.exp(-1.5 * (np.arange(24) - 11.5)))
    truth = 0.5 + np.clip(radius[:, None, None] - np.hypot(y - 22, x - 17), 0, 1)
    smeared = (np.roll(truth, 1, 0) + truth + np.roll(truth, -1, 0)) / 3
    smeared[[0, -1]] = truth[[0, -1]]
    exact, found = truth_scores(truth, truth), truth_scores(smeared, truth)
    assert exact["edge_widening"] == 0
    assert 0.5 < found["edge_widening"] < 2.5
    assert found["edge_width"] == pytest.approx(exact["edge_width"] + found["edge_widening"])


def test_constant_images_are_bad_not_an_error(truth):
    for normalisation in get_args(Normalisation):
        assert truth_scores(np.zeros_like(truth), truth, normalisation)["nrmse"] == pytest.approx(1)
