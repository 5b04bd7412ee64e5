"""What the loss is for: k-space that was not acquired follows from the coils' k-space around it."""

from __future__ import annotations

import pytest
import torch

from python_recon.losses import Pisco, Tiles, slice_patches, tile_size
from tests.losses.scene import N_COILS, CartesianKSpace, coil_kspace

MATRIX = (32, 32)
INNER = slice(7, 25)  # where neighbours on all sides are asked for


def by_tiles(pisco, estimate, generator):
    kernel = pisco.sampler.kernels[0]
    tiles = Tiles(MATRIX, tile_size(N_COILS, kernel, 2.0), skip_inside=0)
    k = tiles.coordinates(4, generator)
    return pisco(*slice_patches(estimate(k), kernel))


def by_scattered_patches(pisco, estimate, generator):
    k = pisco.sample_patches(generator)
    return pisco(*map(estimate, k), *k)


def error_of_missing_samples(weight, ask=by_tiles, n_steps=200, **settings):
    """Relative; every fourth sample is missing and starts at zero."""
    truth = coil_kspace(MATRIX).values / 40
    generator = torch.Generator().manual_seed(1)
    is_acquired = torch.rand(MATRIX, generator=generator)[..., None] < 0.75
    values = torch.where(is_acquired, truth, 0).requires_grad_()
    pisco = Pisco(N_COILS, MATRIX, geometry="without_centre", skip_inside=0, **settings)
    optimiser = torch.optim.Adam([values], lr=2e-2)
    for _ in range(n_steps):
        optimiser.zero_grad()
        data = (torch.view_as_real(values - truth).square() * is_acquired[..., None]).mean()
        consistency, _ = ask(pisco, CartesianKSpace(values), generator)
        (100 * data + weight * consistency).backward()
        optimiser.step()
    wanted = ~is_acquired[INNER, INNER]
    error = (values - truth)[INNER, INNER] * wanted
    return (error.norm() / (truth[INNER, INNER] * wanted).norm()).item()


def test_data_alone_leave_them_as_they_were():
    assert error_of_missing_samples(0.0, n_steps=5) == pytest.approx(1)


@pytest.mark.parametrize("ask", [by_tiles, by_scattered_patches])
@pytest.mark.parametrize("variant", ["residual", "all_pairs"])
def test_loss_fills_them_in(variant, ask):
    assert error_of_missing_samples(0.3, ask, variant=variant) < 0.3


def test_weight_may_be_wrong_by_a_factor_of_ten():
    errors = [error_of_missing_samples(weight) for weight in (0.1, 1.0)]
    assert max(errors) < 0.3
