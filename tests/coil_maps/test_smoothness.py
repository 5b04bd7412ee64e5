"""Smooth series, their fit and the phase reference."""

from __future__ import annotations

import numpy as np
import torch

from python_recon.coil_maps.smoothness import SmoothBasis, SmoothFit, normalised, smooth_maps, virtual_coil

CPU = torch.device("cpu")


def noise(*shape):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(5))


def coordinates(rows, columns):
    return (torch.arange(rows) - rows // 2)[:, None] / rows, (torch.arange(columns) - columns // 2) / columns


def test_series_and_adjoint_match():
    basis = SmoothBasis(CPU)
    coefficients, maps = noise(3, *basis.shape), noise(3, 20, 27)
    left = torch.vdot(basis.evaluate(coefficients, (20, 27)).flatten(), maps.flatten())
    right = torch.vdot(coefficients.flatten(), basis.adjoint(maps).flatten())
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_series_is_the_same_function_on_every_grid():
    basis = SmoothBasis(CPU)
    coefficients = noise(2, *basis.shape)
    coarse, fine = (basis.evaluate(coefficients, grid) for grid in ((24, 20), (96, 60)))
    torch.testing.assert_close(fine[:, ::4, ::3], coarse, rtol=1e-4, atol=1e-4)


def test_fit_solves_the_weighted_least_squares_problem():
    weight = torch.rand(18, 22, generator=torch.Generator().manual_seed(1))
    maps, basis = noise(2, 18, 22), SmoothBasis(CPU)
    found = SmoothFit(weight).coefficients(maps)
    n = int(np.prod(basis.shape))
    matrix = basis.evaluate(torch.eye(n, dtype=torch.complex64).reshape(n, *basis.shape), (18, 22))
    matrix = matrix.flatten(1).T.to(torch.complex128)
    weighted = matrix.mH * weight.flatten()
    gram = weighted @ matrix + 1e-4 * weight.sum() * torch.eye(n)
    expected = torch.linalg.solve(gram, weighted @ maps.flatten(1).T.to(torch.complex128)).T
    difference = torch.linalg.vector_norm(found.flatten(1) - expected)
    assert difference < 2e-3 * torch.linalg.vector_norm(expected)


def test_smooth_maps_undo_random_phases_and_extrapolate():
    y, x = coordinates(32, 32)
    truth = normalised(torch.stack([torch.exp(1j * k * (x + 0.5 * y)) * (1 + 0.5 * k * y) for k in range(3)]))
    rough = truth * torch.exp(2j * torch.pi * torch.rand(32, 32, generator=torch.Generator().manual_seed(2)))
    weight = ((x.abs() < 0.35) & (y.abs() < 0.35)).float()
    maps = smooth_maps(rough, weight, (64, 96))
    np.testing.assert_allclose(torch.linalg.vector_norm(maps, dim=0), 1, atol=1e-5)
    overlap = (maps[:, ::2, ::3].conj() * truth).sum(0).abs()
    assert overlap[weight > 0].min() > 0.999
    assert overlap.min() > 0.9
    assert torch.linalg.vector_norm(maps.diff(dim=1), dim=0).max() < 0.15


def test_virtual_coil_holds_most_of_the_energy():
    images = noise(4, 9, 9) + torch.tensor([1, 2j, -3, 0.5])[:, None, None] * 4
    images = images.to(torch.complex64)
    combined = torch.einsum("c,cyx->yx", virtual_coil(images).conj(), images)
    largest = torch.linalg.svdvals(images.flatten(1))[0]
    torch.testing.assert_close(torch.linalg.vector_norm(combined), largest, rtol=1e-4, atol=1e-4)


def test_normalised_keeps_zero_at_zero():
    maps = noise(3, 5, 4)
    maps[:, 2, 1] = 0
    result = normalised(maps)
    assert not result[:, 2, 1].any()
    norm = torch.linalg.vector_norm(result, dim=0)
    assert torch.allclose(norm[norm > 0], torch.ones(19))
