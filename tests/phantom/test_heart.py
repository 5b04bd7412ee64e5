from dataclasses import replace

import numpy as np
import pytest

from python_recon.errors import ShapeError
from python_recon.phantom import HeartPhantom

STILL = HeartPhantom(n_coils=4, contraction=0.0, breathing_amplitude_mm=0.0, contrast=0.0)


def spokes(n, samples=32, maximum=40.0, seed=0):
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    radius = np.linspace(-maximum, maximum, samples)
    return np.stack([np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius)], axis=-1)


def cartesian(n_y, n_x):
    """(y, x, 2) grid in cycles per field of view."""
    return np.stack(np.meshgrid(np.arange(n_x) - n_x // 2, np.arange(n_y) - n_y // 2), axis=-1).astype(float)


def centred_fft(images):
    shifted = np.fft.ifftshift(images, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


def pixel_response(k, n):
    """Transform of the box that averages over a pixel."""
    return np.sinc(k[..., 0] / n) * np.sinc(k[..., 1] / n)


@pytest.mark.parametrize("flip", [None, "swapped", "mirrored x", "mirrored y", "conjugated"])
def test_kspace_on_the_cartesian_grid_is_the_fft_of_the_truth(flip):
    """Below a quarter of the band, where neither Gibbs ringing nor aliasing matters."""
    n = 96
    k = cartesian(n, n)
    centre = np.hypot(k[..., 0], k[..., 1]) < n / 4
    measured = n * STILL.kspace(k, np.zeros(n))
    coil_images = STILL.coil_maps((n, n)) * STILL.image(np.zeros(1), (n, n))
    expected = centred_fft(coil_images) / pixel_response(k, n)
    changed = {
        None: measured, "swapped": measured.swapaxes(1, 2), "mirrored x": measured[..., ::-1],
        "mirrored y": measured[:, ::-1], "conjugated": measured.conj(),
    }[flip]  # fmt: skip
    error = np.linalg.norm((changed - expected)[:, centre]) / np.linalg.norm(expected[:, centre])
    assert error < 0.02 if flip is None else error > 0.3


def test_pixels_need_not_be_square():
    n_y, n_x = 80, 112
    k = cartesian(n_y, n_x)
    centre = np.hypot(k[..., 0], k[..., 1]) < 20
    measured = np.sqrt(n_y * n_x) * STILL.kspace(k, np.zeros(n_y))
    expected = centred_fft(STILL.coil_maps((n_y, n_x)) * STILL.image(np.zeros(1), (n_y, n_x)))
    expected /= np.sinc(k[..., 0] / n_x) * np.sinc(k[..., 1] / n_y)
    assert np.linalg.norm((measured - expected)[:, centre]) < 0.02 * np.linalg.norm(expected[:, centre])


def test_kspace_is_the_limit_of_fourier_sums_over_finer_truths():
    phantom = HeartPhantom(n_coils=3, seed=4)
    time = np.full(6, 0.37)
    k = spokes(6, samples=16, maximum=24)
    exact = phantom.kspace(k, time)
    errors = []
    for n in (64, 128, 256):
        images = phantom.coil_maps((n, n)) * phantom.image(time[:1], (n, n))
        axis = (np.arange(n) - n // 2) / n
        phase_x, phase_y = (np.exp(-2j * np.pi * k[..., i, None] * axis) for i in (0, 1))
        summed = np.einsum("cyx,sry,srx->csr", images, phase_y, phase_x, optimize=True) / n**2
        errors.append(np.linalg.norm(summed - exact) / np.linalg.norm(exact))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.005


def test_combined_truth_is_recovered_with_the_maps():
    n = 128
    data = n * STILL.kspace(cartesian(n, n), np.zeros(n))
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    truth = STILL.image(np.zeros(1), (n, n))[0]
    combined = (STILL.coil_maps((n, n)).conj() * images).sum(axis=0)
    heart = np.s_[35:80, 45:95]  # away from the skin's Gibbs ringing
    assert np.linalg.norm((combined - truth)[heart]) < 0.08 * np.linalg.norm(truth[heart])


def test_each_spoke_sees_its_own_time():
    phantom, k, times = HeartPhantom(n_coils=2), spokes(5), np.array([0.0, 0.1, 0.3, 0.7, 2.0])
    together = phantom.kspace(k, times)
    apart = [phantom.kspace(k[i : i + 1], times[i : i + 1])[:, 0] for i in range(5)]
    np.testing.assert_allclose(together, np.stack(apart, axis=1), atol=1e-6)
    frozen = phantom.kspace(k, np.zeros(5))
    assert np.linalg.norm(together - frozen) > 0.01 * np.linalg.norm(frozen)


def test_samples_may_have_times_of_their_own():
    phantom, k = HeartPhantom(n_coils=2), spokes(3)
    times = 0.2 + np.arange(3)[:, None] * 0.1 + np.arange(32) * 1e-3
    found = phantom.kspace(k, times)
    single = phantom.kspace(k[1:2, 7:8], times[1:2, 7])
    np.testing.assert_allclose(found[:, 1, 7], single[:, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        phantom.kspace(k, np.repeat(times[:, :1], 32, axis=1)), phantom.kspace(k, times[:, 0]), atol=1e-6
    )


def test_chunks_do_not_show():
    k, times = spokes(300, samples=64), np.arange(300) * 0.003
    phantom = HeartPhantom(n_coils=2)
    np.testing.assert_allclose(
        phantom.kspace(k, times)[:, 290:], phantom.kspace(k[290:], times[290:]), atol=1e-6
    )


def test_heart_repeats_with_every_beat_and_rests_without_motion():
    beating = replace(STILL, contraction=0.3, heart_rate_bpm=60.0)
    times = np.array([0.0, 0.25, 0.5, 1.0])
    first, quarter, half, second = beating.image(times, (64, 64))
    np.testing.assert_allclose(second, first, atol=1e-6)
    assert np.abs(quarter - first).max() > 0.1
    assert np.abs(quarter - half).max() > 0.1
    still = STILL.image(times, (64, 64))
    np.testing.assert_array_equal(still, np.broadcast_to(still[0], still.shape))


@pytest.mark.parametrize(
    "motion",
    [{"contraction": 0.3}, {"breathing_amplitude_mm": 8.0}, {"contrast": 0.5}, {"slice_offset_mm": 30.0}],
)
def test_each_kind_of_motion_shows(motion):
    times = np.array([0.1, 0.9, 1.7, 2.5])
    change = np.abs(replace(STILL, **motion).image(times, (64, 64)) - STILL.image(times, (64, 64)))
    assert change.max() > 0.05


def test_bolus_arrives_in_the_right_heart_before_the_left():
    phantom = replace(STILL, contrast=0.5, bolus_peak_s=3.0)
    before, early, later = np.abs(phantom.image(np.array([0.0, 2.0, 6.0]), (128, 128)))
    left, right = np.s_[56:60, 75:79], np.s_[52:55, 60:62]
    rise_early = [(early - before)[part].mean() / before[part].mean() for part in (left, right)]
    assert rise_early[1] > 2 * rise_early[0] > 0
    assert (later - early)[left].mean() > 0 > (later - early)[right].mean()


def test_time_since_the_r_wave_is_a_sawtooth_of_the_heart_rate():
    times = np.linspace(0, 3, 500)
    since = HeartPhantom(heart_rate_bpm=75).time_since_r_wave_s(times)
    assert since.min() >= 0
    assert since.max() < 0.8
    steps = np.diff(since)
    np.testing.assert_allclose(steps[steps > 0], times[1], rtol=1e-9)
    np.testing.assert_allclose(steps[steps < 0], times[1] - 0.8, rtol=1e-9)


def test_maps_are_normalised_and_the_seed_decides():
    matrix = (40, 56)
    maps = HeartPhantom(n_coils=6, seed=2).coil_maps(matrix)
    assert maps.shape == (6, *matrix)
    assert maps.dtype == np.complex64
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(maps, HeartPhantom(n_coils=6, seed=2).coil_maps(matrix))
    assert np.abs(maps - HeartPhantom(n_coils=6, seed=3).coil_maps(matrix)).max() > 0.1


@pytest.mark.parametrize("n_coils", [1, 4, 22])
def test_any_number_of_coils_covers_the_body(n_coils):
    phantom = HeartPhantom(n_coils=n_coils)
    body = np.abs(phantom.image(np.zeros(1), (64, 64))[0]) > 0
    shading = np.linalg.norm(phantom.sensitivities((64, 64)), axis=0)[body]
    assert shading.mean() == pytest.approx(1, abs=0.1)
    assert shading.min() > 0.15


def test_image_has_a_smooth_phase_of_its_own():
    image = STILL.image(np.zeros(1), (96, 96))[0]
    inside = np.abs(image) > 0.05
    both = inside[:, 1:] & inside[:, :-1]
    steps = np.angle(image[:, 1:] * image[:, :-1].conj())[both]
    assert np.abs(steps).max() < 0.3
    assert np.ptp(np.angle(image[inside])) > 0.3


@pytest.mark.parametrize(("k_shape", "t_shape"), [((3, 8, 3), (3,)), ((3, 8, 2), (8,)), ((8, 2), (8,))])
def test_shapes_that_do_not_fit_are_refused(k_shape, t_shape):
    with pytest.raises(ShapeError, match=r"expected \(spoke, readout, 2\)"):
        STILL.kspace(np.zeros(k_shape), np.zeros(t_shape))


def test_the_reference_is_the_truth_at_the_resolution_of_a_radial_scan():
    phantom, times, matrix = HeartPhantom(n_coils=4, seed=3), np.array([0.1, 0.5]), (80, 96)
    reference, truth = phantom.reference(times, matrix), phantom.image(times, matrix)
    ky, kx = np.meshgrid(*((np.arange(n) - n // 2) / n for n in matrix), indexing="ij")
    radius = np.hypot(kx, ky)
    spectra = [
        np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2))), axes=(1, 2))
        for images in (reference, truth)
    ]

    inner, outer = radius < 0.25, radius > 0.55
    assert np.linalg.norm((spectra[0] - spectra[1])[:, inner]) < 0.05 * np.linalg.norm(spectra[1][:, inner])
    assert np.linalg.norm(spectra[0][:, outer]) < 0.5 * np.linalg.norm(spectra[1][:, outer])


def test_r_waves_that_are_given_are_those_of_the_heart():
    """Short beats contract less; after a long one the heart rests until the next."""
    usual = 60 / 72
    r_waves = (0.0, usual, 1.5 * usual, 3.0 * usual, 4.0 * usual)
    irregular, regular = replace(STILL, r_waves_s=r_waves, contraction=0.3), replace(STILL, contraction=0.3)
    np.testing.assert_allclose(
        irregular.time_since_r_wave_s(np.array([0.1, 1.6 * usual])), [0.1, 0.1 * usual]
    )
    start = regular.r_waves_until(2.0)[1]
    systole = 0.35
    shares = (systole * usual, 1.25 * usual, (1.5 + systole) * usual, 2.9 * usual)
    images = irregular.image(np.array(shares), (48, 48))
    usual_systole, rest = regular.image(start + np.array([systole * usual, 0.9 * usual]), (48, 48))
    np.testing.assert_allclose(images[0], usual_systole, atol=1e-6)
    np.testing.assert_allclose(images[2], usual_systole, atol=1e-6)
    np.testing.assert_allclose(images[3], rest, atol=1e-6)
    assert np.abs(images[1] - rest).max() < 0.9 * np.abs(usual_systole - rest).max()


def test_r_waves_of_a_regular_heart():
    phantom = HeartPhantom(seed=3)
    r_waves = phantom.r_waves_until(10.0)
    assert r_waves[0] <= 0 < r_waves[1]
    assert r_waves[-2] <= 10 <= r_waves[-1]
    since = phantom.time_since_r_wave_s(r_waves + 0.01)
    np.testing.assert_allclose(since, 0.01)
