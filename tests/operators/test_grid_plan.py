"""Transforms of samples on the grid against the explicit ones."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.operators.nufft import Nufft
from python_recon.operators.toeplitz import SenseGram, SubspaceGram, point_spread_kernels
from tests.numerics import (
    adjoint_dft,
    assert_adjoint,
    cartesian_grid,
    complex_noise,
    dft,
    relative_error,
)

N_FRAMES, N_COILS = 3, 2


def lines(matrix, seed=0):
    """(frame, line, readout, 2): some rows of the grid, other ones in every frame, one of them twice."""
    rng, grid = np.random.default_rng(seed), cartesian_grid(matrix)[0]
    chosen = [np.append(rng.permutation(len(grid))[:5], [0, 0]) for _ in range(N_FRAMES)]
    return np.stack([grid[rows, 2:] for rows in chosen])


@pytest.mark.parametrize("matrix", [(12, 9), (11, 16), (10, 10)])
def test_transforms_are_the_explicit_ones(to_device, matrix):
    trajectory = lines(matrix)
    images = complex_noise((N_FRAMES, N_COILS, *matrix), 1)
    kspace = complex_noise((N_FRAMES, N_COILS, *trajectory.shape[1:3]), 2)
    operator = Nufft(to_device(trajectory), matrix)
    assert relative_error(operator.forward(to_device(images)), dft(images, trajectory)) < 1e-6
    assert relative_error(operator.adjoint(to_device(kspace)), adjoint_dft(kspace, trajectory, matrix)) < 1e-6
    assert_adjoint(operator.forward, operator.adjoint, images.shape, kspace.shape, to_device, 1e-6)


@pytest.mark.parametrize("matrix", [(12, 9), (11, 16)])
def test_normal_operators_are_the_explicit_ones_without_padding(to_device, matrix):
    trajectory, maps = lines(matrix), complex_noise((N_COILS, *matrix), 3)
    weights = np.random.default_rng(2).uniform(0.1, 1, trajectory.shape[:3]).astype(np.float32)
    kernels = point_spread_kernels(to_device(trajectory), to_device(weights), matrix)
    assert tuple(kernels.shape) == (N_FRAMES, *matrix)
    images = complex_noise((N_FRAMES, *matrix), 4)

    def explicit(series):
        weighted = dft(series[:, None] * maps, trajectory) * weights[:, None]
        return (adjoint_dft(weighted, trajectory, matrix) * maps.conj()).sum(1)

    assert relative_error(SenseGram(kernels, to_device(maps))(to_device(images)), explicit(images)) < 1e-5
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((N_FRAMES, 2)))[0].astype(np.float32)
    components = complex_noise((2, *matrix), 6)
    found = SubspaceGram(kernels, to_device(maps), to_device(basis))(to_device(components))
    expected = np.einsum("fk,fyx->kyx", basis, explicit(np.einsum("fk,kyx->fyx", basis, components)))
    assert relative_error(found, expected) < 1e-5
