import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, gaussian_laplace
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio

from python_recon.errors import ShapeError
from python_recon.evaluation.metrics import fsim, gmsd, hfen, match_scale, nrmse, psnr, ssim, time_profiles
from python_recon.evaluation.phase_congruency import phase_congruency
from python_recon.phantom import HeartPhantom

BEST = {nrmse: 0.0, psnr: np.inf, ssim: 1.0, fsim: 1.0, hfen: 0.0, gmsd: 0.0}
RISING = (psnr, ssim, fsim)


@pytest.fixture(scope="module")
def truth():
    return np.abs(HeartPhantom(n_coils=1).image(np.array([0.0, 0.2, 0.4]), (96, 80))).astype(float)


def with_noise(truth, level):
    return np.abs(truth + level * np.random.default_rng(1).standard_normal(truth.shape))


@pytest.mark.parametrize("metric", BEST)
def test_equal_images_get_the_best_score(metric, truth):
    assert metric(truth, truth) == pytest.approx(BEST[metric], abs=1e-12)
    assert metric(truth * 1j, truth) == pytest.approx(BEST[metric], abs=1e-12)


@pytest.mark.parametrize("metric", BEST)
def test_scores_fall_with_noise_and_with_blur(metric, truth):
    sign = 1 if metric in RISING else -1
    by_noise = [sign * metric(with_noise(truth, level), truth) for level in (0.01, 0.03, 0.1)]
    by_blur = [sign * metric(gaussian_filter(truth, (0, width, width)), truth) for width in (0.5, 1, 2)]
    assert by_noise[0] > by_noise[1] > by_noise[2]
    assert by_blur[0] > by_blur[1] > by_blur[2]


@pytest.mark.parametrize("metric", BEST)
def test_scores_do_not_depend_on_the_unit_of_both(metric, truth):
    images = with_noise(truth, 0.05)
    assert metric(1e-4 * images, 1e-4 * truth) == pytest.approx(metric(images, truth), rel=1e-6)


@pytest.mark.parametrize("metric", BEST)
def test_one_image_counts_as_one_frame(metric, truth):
    image = with_noise(truth, 0.05)[0]
    assert metric(image, truth[0]) == metric(image[None], truth[:1])


def test_nrmse_of_a_wrong_scale_is_its_error(truth):
    assert nrmse(1.07 * truth, truth) == pytest.approx(0.07)


def test_psnr_of_a_constant_error_is_peak_over_error(truth):
    assert psnr(truth + 0.02 * truth.max(), truth) == pytest.approx(20 * np.log10(50))


def test_nrmse_and_psnr_agree_with_scikit_image(truth):
    images = with_noise(truth, 0.05)
    expected = normalized_root_mse(truth, images, normalization="euclidean")
    assert nrmse(images, truth) == pytest.approx(expected, rel=1e-9)
    expected = peak_signal_noise_ratio(truth, images, data_range=truth.max())
    assert psnr(images, truth) == pytest.approx(expected, rel=1e-9)


def test_psnr_has_one_peak_for_the_series():
    truth = np.zeros((2, 16, 16))
    truth[0, 3, 4], truth[1, 5, 5] = 4.0, 1.0
    assert psnr(truth + 0.4, truth) == pytest.approx(20.0)


def test_ssim_of_constant_images_is_its_luminance_term():
    a, b = 0.8, 1.0
    c1 = (0.01 * b) ** 2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert ssim(np.full((20, 24), a), np.full((20, 24), b)) == pytest.approx(expected, rel=1e-9)


def test_hfen_is_blind_to_an_offset_and_linear_in_the_error(truth):
    assert hfen(truth + 0.3, truth) == pytest.approx(0, abs=1e-12)
    assert hfen(1.2 * truth, truth) == pytest.approx(0.2)


def test_hfen_agrees_with_the_laplacian_of_gaussian_of_scipy(truth):
    images = with_noise(truth, 0.05)
    edges, error = (
        np.stack([gaussian_laplace(frame, 1.5, mode="nearest") for frame in series])
        for series in (truth, images - truth)
    )
    assert hfen(images, truth) == pytest.approx(np.linalg.norm(error) / np.linalg.norm(edges), rel=0.02)


def test_gmsd_is_the_deviation_of_the_gradient_similarity():
    """A bright disc whose copy has half the contrast: each edge pixel has half the gradient."""
    y, x = np.mgrid[-32:32, -32:32]
    disc = np.where(np.hypot(x, y) < 20, 255.0, 0.0)
    blocks = disc.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    padded = np.pad(blocks, 1)
    gx = sum(padded[i : i + 32, 2:] - padded[i : i + 32, :-2] for i in range(3)) / 3
    gy = sum(padded[2:, i : i + 32] - padded[:-2, i : i + 32] for i in range(3)) / 3
    squared = gx**2 + gy**2
    expected = ((2 * 0.5 * squared + 170) / (1.25 * squared + 170)).std()
    assert gmsd(0.5 * disc, disc) == pytest.approx(expected, rel=1e-9)


def test_fsim_is_symmetric_for_images_of_one_peak(truth):
    images = np.clip(with_noise(truth, 0.1), 0, truth.max())
    images *= truth.max() / images.max()
    assert fsim(images, truth) == pytest.approx(fsim(truth, images))


@pytest.mark.parametrize("contrast", [10.0, 210.0])
def test_phase_congruency_marks_edges_of_any_contrast(contrast):
    image = np.zeros((64, 96))
    image[:, 30:70] = contrast
    features = phase_congruency(image)
    assert features.min() >= 0
    assert features.max() <= 1
    assert features[32, [29, 30, 69, 70]].min() > 0.5
    assert features[32, [15, 85]].max() < 0.2


def test_phase_congruency_turns_with_the_image():
    image = 100 * np.abs(HeartPhantom(n_coils=1).image(np.zeros(1), (65, 65))[0])
    turned = phase_congruency(np.rot90(image))
    np.testing.assert_allclose(turned, np.rot90(phase_congruency(image)), atol=0.02)


@given(st.floats(0.05, 20), st.floats(-0.5, 0.5))
def test_no_factor_is_better_than_that_of_match_scale(scale, change):
    generator = np.random.default_rng(8)
    truth = generator.random((2, 6, 5))
    images = scale * (truth + 0.3 * generator.random(truth.shape))
    matched = match_scale(images, truth)
    assert nrmse(matched, truth) <= nrmse((1 + change) * matched, truth) + 1e-12
    np.testing.assert_allclose(match_scale(truth * scale, truth), truth)


@pytest.mark.parametrize("metric", [psnr, ssim, fsim, gmsd])
def test_a_given_peak_takes_the_place_of_the_largest_value(metric, truth):
    images = with_noise(truth, 0.05)
    assert metric(images, truth, float(truth.max())) == metric(images, truth)
    assert metric(images, truth, 2 * float(truth.max())) != metric(images, truth)


def test_twice_the_peak_is_six_decibels_more(truth):
    images = with_noise(truth, 0.05)
    assert psnr(images, truth, 2.0) - psnr(images, truth, 1.0) == pytest.approx(20 * np.log10(2))


def test_profiles_run_along_the_axis_that_is_left():
    series = np.arange(2 * 3 * 4).reshape(2, 3, 4) * 1j
    np.testing.assert_array_equal(time_profiles(series, y=1), [[4, 5, 6, 7], [16, 17, 18, 19]])
    np.testing.assert_array_equal(time_profiles(series, x=2), [[2, 6, 10], [14, 18, 22]])
    with pytest.raises(ValueError, match="either x or y"):
        time_profiles(series)


def test_images_that_do_not_fit_are_refused(truth):
    with pytest.raises(ShapeError, match="expected the same"):
        nrmse(truth[:2], truth)
    with pytest.raises(ShapeError, match="expected the same"):
        psnr(truth[0, 0], truth[0, 0])


@pytest.mark.parametrize("metric", [nrmse, hfen])
def test_a_reference_of_zeros_is_refused(metric):
    with pytest.raises(ValueError, match="zero everywhere"):
        metric(np.ones((16, 16)), np.zeros((16, 16)))
