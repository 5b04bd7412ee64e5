"""Toeplitz normal operators against the explicit Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.operators import toeplitz
from python_recon.operators.sense import data_weights
from python_recon.operators.toeplitz import SenseGram, SubspaceGram, convolve, point_spread_kernels
from tests.numerics import (
    adjoint_dft,
    as_numpy,
    complex_noise,
    dense,
    dft,
    dft_matrix,
    golden_spokes,
    relative_error,
    scan_heart,
)

N_FRAMES, N_COILS = 4, 3


def random_problem(matrix, n_spokes=5, n_samples=22):
    """Trajectory, weights and unit coil maps without any symmetry."""
    trajectory = golden_spokes(N_FRAMES, n_spokes, n_samples, matrix)
    weights = np.random.default_rng(2).uniform(0.1, 1, trajectory.shape[:3]).astype(np.float32)
    maps = complex_noise((N_COILS, *matrix), 3)
    return trajectory, weights, (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)


def exact_gram(images, trajectory, weights, maps):
    """``S^H F^H W F S`` by the explicit transform, in float64."""
    kspace = dft(images[:, None] * maps, trajectory) * weights[:, None]
    return (adjoint_dft(kspace, trajectory, images.shape[1:]) * maps.conj()).sum(1)


@pytest.mark.parametrize("matrix", [(12, 9), (11, 16), (10, 10)])
def test_gram_is_the_explicit_one(to_device, matrix):
    trajectory, weights, maps = random_problem(matrix)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    images = complex_noise((N_FRAMES, *matrix), 4)
    result = SenseGram(kernels, to_device(maps))(to_device(images))
    assert relative_error(result, exact_gram(images, trajectory, weights, maps)) < 1e-4


@pytest.mark.parametrize("matrix", [(12, 9), (11, 16)])
def test_every_frame_has_the_kernel_of_its_own_trajectory(to_device, matrix):
    trajectory, weights, _ = random_problem(matrix)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    assert tuple(kernels.shape) == (N_FRAMES, 2 * matrix[0], 2 * matrix[1])
    assert kernels.dtype == torch.float32
    point = np.zeros((1, *matrix), np.complex64)
    point[0, 2, 5] = 1 - 2j
    for frame in range(N_FRAMES):
        transform = dft_matrix(trajectory[frame], matrix)
        expected = transform.conj().T @ (weights[frame].ravel() * (transform @ point.ravel()))
        assert relative_error(convolve(to_device(point), kernels[frame]).flatten(), expected) < 2e-4


def test_gram_is_hermitian_and_positive_semidefinite(to_device):
    matrix = (9, 8)
    trajectory, weights, maps = random_problem(matrix, n_spokes=3)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    for frame in range(N_FRAMES):
        gram = SenseGram(kernels[frame : frame + 1], to_device(maps))
        operator = dense(gram, (1, *matrix), to_device)
        values = np.linalg.eigvalsh(operator)
        assert relative_error(operator.conj().T, operator) < 1e-6
        assert values.min() > -1e-4 * values.max()


@pytest.mark.parametrize("n_components", [1, 3])
def test_subspace_gram_is_the_gram_between_bases(to_device, n_components):
    matrix = (11, 14)
    trajectory, weights, maps = random_problem(matrix)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    noise = np.random.default_rng(5).normal(size=(N_FRAMES, n_components))
    basis = np.linalg.qr(noise)[0].astype(np.float32)
    components = complex_noise((n_components, *matrix), 6)
    result = SubspaceGram(kernels, to_device(maps), to_device(basis))(to_device(components))
    series = np.einsum("fk,kyx->fyx", basis, components)
    expected = np.einsum("fk,fyx->kyx", basis, exact_gram(series, trajectory, weights, maps))
    assert relative_error(result, expected) < 1e-4


@pytest.mark.parametrize("n_bytes", [1, 8 * 22 * 28, 3 * 8 * 22 * 28, 7 * 8 * 22 * 28, 10**9])
def test_chunks_do_not_show(monkeypatch, n_bytes):
    """From one image at a time over some coils, then some frames, to all at once."""
    matrix = (11, 14)
    trajectory, weights, maps = (torch.as_tensor(a) for a in random_problem(matrix))
    kernels = point_spread_kernels(trajectory, weights, matrix)
    images = torch.as_tensor(complex_noise((N_FRAMES, *matrix), 7))
    expected = SenseGram(kernels, maps)(images)
    monkeypatch.setitem(toeplitz._WORKING_SET_BYTES, "cpu", n_bytes)
    torch.testing.assert_close(SenseGram(kernels, maps)(images), expected)


@pytest.mark.parametrize("n_columns", [1, 5, 28, 1000])
def test_columns_that_are_mixed_together_do_not_show(monkeypatch, n_columns):
    matrix = (11, 14)
    trajectory, weights, maps = (torch.as_tensor(a) for a in random_problem(matrix))
    kernels = point_spread_kernels(trajectory, weights, matrix)
    basis = torch.linalg.qr(torch.as_tensor(complex_noise((N_FRAMES, 2), 8).real)).Q
    components = torch.as_tensor(complex_noise((2, *matrix), 9))
    expected = SubspaceGram(kernels, maps, basis)(components)
    monkeypatch.setitem(toeplitz._COLUMNS, "cpu", n_columns)
    torch.testing.assert_close(SubspaceGram(kernels, maps, basis)(components), expected)


def test_arguments_are_left_as_they_are(to_device):
    matrix = (10, 12)
    trajectory, weights, maps = random_problem(matrix)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    image = to_device(complex_noise((1, *matrix), 10))
    series = image.expand(N_FRAMES, *matrix)  # one image, many strides of zero
    before, kernels_before = image.clone(), kernels.clone()
    gram = SenseGram(kernels, to_device(maps))
    result = gram(series)
    torch.testing.assert_close(result, gram(series.contiguous()))
    gram.norm()
    assert torch.equal(image, before)
    assert torch.equal(kernels, kernels_before)


@pytest.mark.parametrize("n_coils", [1, 4])
@pytest.mark.parametrize("n_spokes", [1, 5, 13, 21])
def test_norm_bounds_every_eigenvalue_of_a_scan(to_device, n_spokes, n_coils):
    """With the weights that methods use, by the eigenvalues of the dense matrices of all frames."""
    matrix = (12, 12)
    scan = scan_heart(6, n_spokes, n_coils, matrix)
    weights = to_device(data_weights(scan.kspace.to_torch()).numpy())
    kernels = point_spread_kernels(to_device(scan.kspace.trajectory), weights, matrix)
    maps = to_device(scan.maps.maps)
    largest = _largest_eigenvalue(kernels, maps, matrix, to_device)
    assert largest < float(SenseGram(kernels, maps).norm()) < 2 * largest


def test_norm_bounds_frames_of_unequal_numbers_of_spokes(to_device):
    """As after sorting by phase and breath: some frames hold many spokes, some few, some none."""
    matrix = (12, 12)
    trajectory, weights, _ = random_problem(matrix, n_spokes=9)
    maps = scan_heart(6, 1, 4, matrix).maps.maps
    weights = np.repeat(weights, 3, 0)
    for frame, n_spokes in enumerate([0, 1, 0, 9, 2, 0, 0, 5, 1, 0, 2, 0]):
        weights[frame, n_spokes:] = 0
    trajectory = np.repeat(trajectory, 3, 0)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    largest = _largest_eigenvalue(kernels, to_device(maps), matrix, to_device)
    assert largest < float(SenseGram(kernels, to_device(maps)).norm()) < 2 * largest


def test_norm_follows_the_maps(to_device):
    trajectory, weights, maps = random_problem((10, 12))
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), (10, 12))
    norm = SenseGram(kernels, to_device(maps)).norm()
    torch.testing.assert_close(SenseGram(kernels, 3 * to_device(maps)).norm(), 9 * norm)


def _largest_eigenvalue(kernels, maps, matrix, to_device):
    operators = (
        dense(SenseGram(kernels[frame : frame + 1], maps), (1, *matrix), to_device)
        for frame in range(len(kernels))
    )
    return max(np.linalg.eigvalsh(operator).max() for operator in operators)


def test_no_frame_needs_to_be_alike(to_device):
    """Frames are independent: a change of one image changes that result alone."""
    matrix = (10, 12)
    trajectory, weights, maps = random_problem(matrix)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    gram = SenseGram(kernels, to_device(maps))
    images = to_device(complex_noise((N_FRAMES, *matrix), 13))
    changed = images.clone()
    changed[2] += 1
    difference = as_numpy(gram(changed) - gram(images))
    assert np.abs(difference[2]).max() > 0.1
    assert not difference[[0, 1, 3]].any()
