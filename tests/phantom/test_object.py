"""Objects of pixels, against the Fourier sum written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.errors import DataError, ShapeError
from python_recon.phantom import HeartPhantom, ObjectPhantom
from python_recon.phantom.deformation import Deformation

N = 24


def blurred(shape=(40, 32), seed=0):
    """(y, x) smooth and asymmetric, without a dark margin."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    places = np.random.default_rng(seed).uniform(-0.6, 0.6, (5, 2))
    return sum((i + 1) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.08) for i, (a, b) in enumerate(places))


def phantom(images=None, **changes):
    images = blurred()[None] if images is None else images
    return ObjectPhantom(images=images, n_coils=3, grid_size=2 * N, seed=2, **changes)


STILL = {"contraction": 0.0, "breathing_amplitude_mm": 0.0, "contrast": 0.0}


def spokes(n, seed=0):
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    radius = (np.arange(2 * N) - N) / 2
    return np.stack([np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius)], axis=-1)


def written_out(scanned, k, time_s):
    """(coil, readout): the sum over the grid of the coil images as they are drawn."""
    axis = (np.arange(2 * N) - N) / (2 * N)
    coils = scanned._sensitivities.at(axis, axis) * scanned._drawn(time_s, axis, axis)
    along, down = (np.exp(-2j * np.pi * np.outer(axis, k[:, i])) for i in (0, 1))
    return np.einsum("cyx,xk,yk->ck", coils, along, down) / (2 * N) ** 2


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("frames", [1, 3])
def test_kspace_is_the_fourier_sum_of_the_coil_images_at_each_time(frames, kind):
    images = np.stack([blurred(seed=seed).astype(kind) for seed in range(frames)])
    images = images * np.exp(1j) if kind is complex else images
    scanned, k, times = phantom(images), spokes(3), np.array([0.0, 0.11, 0.3])
    found = scanned.kspace(k, times)
    expected = np.stack([written_out(scanned, *pair) for pair in zip(k, times, strict=True)], axis=1)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 1e-3 * np.abs(expected).max()


def test_samples_may_have_times_of_their_own():
    scanned, k = phantom(), spokes(2)
    times = np.array([[0.1], [0.2]]) + np.arange(2 * N) * 1e-3
    found = scanned.kspace(k, times)
    np.testing.assert_allclose(found[:, 1, 5], scanned.kspace(k[1:2, 5:6], times[1:2, 5])[:, 0, 0], rtol=1e-5)


def test_the_reference_is_the_image_at_the_resolution_of_the_scan():
    """A smooth object has nothing beyond it."""
    scanned, times = phantom(**STILL), np.zeros(1)
    reference, image = scanned.reference(times, (N, N)), scanned.image(times, (N, N))
    error = np.linalg.norm(reference - image) / np.linalg.norm(image)
    assert error < 0.06
    mirrored = np.linalg.norm(reference[..., ::-1] - image) / np.linalg.norm(image)
    assert mirrored > 0.3


def test_rows_run_down_and_columns_across():
    """The pixel at the top left is at negative x and y, as in the images of the other phantom."""
    corner = np.zeros((1, 20, 20))
    corner[0, 3:6, 2:5] = 1
    y, x = np.unravel_index(np.abs(phantom(corner, **STILL).image(np.zeros(1), (N, N))[0]).argmax(), (N, N))
    assert (y < N // 2 - 3, x < N // 2 - 3) == (True, True)
    assert x <= y


def test_the_brightest_of_the_object_is_about_one_whatever_its_units():
    one, other = phantom(1e-4 * blurred()[None]), phantom(4e3 * blurred()[None])
    times = np.array([0.2])
    np.testing.assert_allclose(one.image(times, (N, N)), other.image(times, (N, N)), rtol=1e-5, atol=1e-9)
    axis = (np.arange(64) - 32) / 64
    assert 0.9 < phantom(**STILL)._drawn(0.0, axis, axis).max() < 1.5


@pytest.mark.parametrize("moved", [{"contraction": 0.3}, {"breathing_amplitude_mm": 10.0}, {"contrast": 1.5}])
def test_a_still_image_is_moved(moved):
    times = np.array([0.1, 0.5, 1.3, 2.5])
    still = phantom(**STILL).image(times, (N, N))
    assert np.ptp(np.abs(still), axis=0).max() < 1e-6
    assert np.ptp(np.abs(phantom(**{**STILL, **moved}).image(times, (N, N))), axis=0).max() > 0.05


def test_a_still_image_follows_irregular_beats_as_the_heart_does():
    r_waves = (0.0, 60 / 72, 1.5 * 60 / 72, 3 * 60 / 72)
    scanned = phantom(**{**STILL, "contraction": 0.3}, r_waves_s=r_waves)
    times = np.array([0.29, 1.25 * 60 / 72])  # the end of a usual systole, the middle of a short beat
    heart = HeartPhantom(r_waves_s=r_waves)
    np.testing.assert_array_equal(scanned.time_since_r_wave_s(times), heart.time_since_r_wave_s(times))
    rest, systole, early = np.abs(scanned.image(np.array([0.0, *times]), (N, N)))
    assert np.abs(systole - rest).max() > 1.2 * np.abs(early - rest).max() > 0


def test_motion_folds_nowhere_and_leaves_the_margin():
    axis = np.linspace(-0.5, 0.5, 101)
    x, y = np.meshgrid(axis, axis)
    source_x, source_y = Deformation(contraction=0.4, inspiration=0.04).source(x, y)
    (x_down, x_along), (y_down, y_along) = np.gradient(source_x, axis, axis), np.gradient(
        source_y, axis, axis
    )  # fmt: skip
    assert (x_along * y_down - x_down * y_along).min() > 0.1
    edge = np.ones_like(x, bool)
    edge[1:-1, 1:-1] = False
    assert np.hypot(source_x - x, source_y - y)[edge].max() < 5e-3
    middle = Deformation(contraction=0.25, inspiration=0.0).source(np.array([1e-4]), np.zeros(1))[0]
    np.testing.assert_allclose(1e-4 / middle, 0.75, rtol=1e-4)


def test_a_series_is_sampled_in_time_and_begins_anew():
    images = np.stack([blurred(), 2 * blurred(), 3 * blurred()])
    scanned = phantom(images, interval_s=0.1)
    at = scanned.image(np.array([0.0, 0.05, 0.1, 0.25, 0.3]), (N, N))
    np.testing.assert_allclose(at[1], (at[0] + at[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(at[2], 2 * at[0], atol=1e-6)
    np.testing.assert_allclose(at[3], at[2], atol=1e-6)
    np.testing.assert_allclose(at[4], at[0], atol=1e-6)
    assert not scanned.has_rhythm
    assert scanned.r_waves_until(3.0).size == 0


def test_coils_and_noise_free_scale_are_those_of_the_heart():
    np.testing.assert_array_equal(
        phantom().coil_maps((N, N)), HeartPhantom(n_coils=3, seed=2).coil_maps((N, N))
    )


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((8, 8)), ShapeError, r"expected \(frame, y, x\)"),
        (np.zeros((0, 8, 8)), ShapeError, "2 x 2 pixels"),
        (np.zeros((1, 8, 8)), DataError, "zero everywhere"),
        (np.full((1, 8, 8), np.nan), DataError, "64 values .* replace them"),
    ],
)
def test_what_is_no_object_is_refused(images, error, message):
    with pytest.raises(error, match=message):
        phantom(images)


def test_a_grid_that_is_too_coarse_for_the_trajectory_is_refused():
    with pytest.raises(ShapeError, match="twice the scan's matrix"):
        replace(phantom(), grid_size=N).kspace(spokes(8), np.zeros(8))
