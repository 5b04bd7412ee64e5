from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.noise_level import with_noise
from python_recon.acquisition.radial.density import ramp_density
from python_recon.data import CoilMaps, KSpace
from python_recon.operators.sense import data_weights
from python_recon.operators.sense_problem import SenseProblem, time_average
from python_recon.operators.toeplitz import SenseGram
from tests.numerics import adjoint_dft, as_numpy, complex_noise, dft, golden_spokes, relative_error


def test_problem_is_the_explicit_one(small_heart, device):
    kspace, maps = small_heart.kspace, small_heart.maps
    problem = SenseProblem.from_kspace(kspace.to_torch(device), maps.to_torch(device))
    weights = data_weights(kspace.to_torch()).numpy()[:, None]

    def adjoint(data):
        return (adjoint_dft(weights * data, kspace.trajectory, kspace.matrix) * maps.maps.conj()).sum(1)

    assert relative_error(problem.right_side, adjoint(kspace.data)) < 1e-3
    images = complex_noise((kspace.n_frames, *kspace.matrix), 1)
    gram = SenseGram(problem.kernels, problem.maps)
    expected = adjoint(dft(images[:, None] * maps.maps, kspace.trajectory))
    assert relative_error(gram(problem.right_side.new_tensor(images)), expected) < 1e-3


def noise_scan(center=48, n_samples=96, n_spokes=13, sigma=1.0, signal=0.0):
    """White noise of standard deviation ``sigma`` in each part, and a signal at the centre of k-space."""
    matrix, n_coils, n_frames = (48, 48), 4, 5
    position = (np.arange(n_samples) - center) / (2 * max(center, n_samples - center))
    direction = golden_spokes(n_frames, n_spokes, 2, matrix)[:, :, :1] * -2
    trajectory = (position[:, None] * direction).astype(np.float32)
    data = sigma * complex_noise((n_frames, n_coils, n_spokes, n_samples), 3)
    radius = np.linalg.norm(trajectory, axis=-1)
    data = data + signal * np.exp(-0.05 * radius**2)[:, None]
    kspace = KSpace(data.astype(np.complex64), trajectory, matrix)
    maps = complex_noise((n_coils, *matrix), 4)
    maps /= np.linalg.norm(maps, axis=0)
    return with_noise(replace(kspace, density=ramp_density(kspace))), CoilMaps(maps, "test")


@pytest.mark.parametrize("sigma", [1e-4, 1.0, 300.0])
def test_noise_is_that_of_the_right_side(device, sigma):
    kspace, maps = noise_scan(sigma=sigma)
    problem = SenseProblem.from_kspace(kspace.to_torch(device), maps.to_torch(device))
    measured = np.sqrt(np.mean(np.abs(as_numpy(problem.right_side)) ** 2))
    assert float(problem.noise) == pytest.approx(measured, rel=0.05)


def test_the_object_does_not_count_as_noise():
    without, with_object = (
        SenseProblem.from_kspace(*(part.to_torch() for part in noise_scan(signal=signal)))
        for signal in (0.0, 1e4)
    )
    assert float(with_object.noise) == pytest.approx(float(without.noise), rel=0.05)


@pytest.mark.parametrize("center", [10, 86])
def test_of_a_partial_echo_the_long_end_tells_the_noise(center):
    """The short end lies near the centre of k-space, where the signal is."""
    whole, partial = (
        SenseProblem.from_kspace(*(part.to_torch() for part in noise_scan(center=center, signal=signal)))
        for signal in (0.0, 1e4)
    )
    assert float(partial.noise) == pytest.approx(float(whole.noise), rel=0.1)


def test_padding_does_not_dilute_the_noise():
    kspace, maps = noise_scan()
    mask = np.ones((5, 13), bool)
    mask[:, 4:] = False
    masked = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        spoke_mask=mask,
    )
    cut = KSpace(kspace.data[:, :, :4], kspace.trajectory[:, :4], kspace.matrix)
    padded, expected = (
        SenseProblem.from_kspace(
            with_noise(replace(part, noise=None, density=ramp_density(part))).to_torch(), maps.to_torch()
        )
        for part in (masked, cut)
    )
    assert float(padded.noise) == pytest.approx(float(expected.noise), rel=1e-3)


def test_time_average_is_the_mean_of_the_gridded_frames(small_heart, device):
    kspace, maps = small_heart.kspace, small_heart.maps
    average = time_average(kspace.to_torch(device), maps.to_torch(device))
    frames = adjoint_dft(kspace.data * kspace.density[:, None], kspace.trajectory, kspace.matrix)
    expected = (frames * maps.maps.conj()).sum(1).mean(0)
    assert relative_error(average, expected) < 1e-3
