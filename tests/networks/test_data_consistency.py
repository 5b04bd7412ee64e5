from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.networks.data_consistency import agreed
from python_recon.operators.toeplitz import SenseGram, SubspaceGram, point_spread_kernels
from tests.numerics import cartesian_grid, complex_noise, golden_spokes

MATRIX, FRAMES, ENOUGH = (6, 8), 3, 60


def sampling(kind):
    """(frame, spoke, readout, 2) and weights, some of the lines or spokes."""
    if kind == "radial":
        trajectory = torch.as_tensor(golden_spokes(FRAMES, 4, 12, MATRIX))
        return trajectory, trajectory.norm(dim=-1) / 30 + 0.02
    trajectory = torch.as_tensor(cartesian_grid(MATRIX)).expand(FRAMES, -1, -1, -1)
    return trajectory, (torch.arange(FRAMES * MATRIX[0]).reshape(FRAMES, -1, 1) % 3 > 0).float().expand(
        -1, -1, 8
    )


def gram_of(kind, form):
    """In double precision."""
    kernels = point_spread_kernels(*sampling(kind), MATRIX).double()
    maps = torch.as_tensor(complex_noise((3, *MATRIX), 4)).to(torch.complex128) / 3
    if form == "frames":
        return SenseGram(kernels, maps), FRAMES
    basis = torch.linalg.qr(torch.as_tensor(np.random.default_rng(5).normal(size=(FRAMES, 2))))[0]
    return SubspaceGram(kernels, maps, basis), 2


def noise(n_images, seed):
    return torch.as_tensor(complex_noise((n_images, *MATRIX), seed)).to(torch.complex128)


@pytest.mark.parametrize("kind", ["radial", "cartesian"])
@pytest.mark.parametrize("form", ["frames", "components"])
def test_gradients_are_those_of_finite_differences(kind, form):
    """To 1e-4, in double precision, for all three arguments."""
    gram, n_images = gram_of(kind, form)
    weights = noise(n_images, 3)

    def value(right_side, prior, mu):
        images = agreed(gram, right_side, prior, mu, ENOUGH)
        return ((images.conj() * weights).real + images.abs() ** 4).sum()

    arguments = [noise(n_images, 1), noise(n_images, 2), torch.tensor(0.3, dtype=torch.float64)]
    for argument in arguments:
        argument.requires_grad_()
    value(*arguments).backward()
    for number, argument in enumerate(arguments):
        direction = noise(n_images, 6) if argument.ndim else torch.ones_like(argument)
        step, ends = 1e-5, []
        for sign in (1, -1):
            moved = [a.detach() for a in arguments]
            moved[number] = moved[number] + sign * step * direction
            ends.append(value(*moved))
        difference = (ends[0] - ends[1]) / (2 * step)
        slope = (argument.grad.conj() * direction).real.sum()
        assert slope.item() == pytest.approx(difference.item(), rel=1e-4)


def test_it_solves_the_normal_equations():
    gram, n_images = gram_of("radial", "components")
    right_side, prior, mu = noise(n_images, 1), noise(n_images, 2), torch.tensor(0.3, dtype=torch.float64)
    images = agreed(gram, right_side, prior, mu, ENOUGH)
    torch.testing.assert_close(gram(images) + mu * images, right_side + mu * prior, rtol=1e-8, atol=1e-8)


def test_a_prior_that_agrees_stays():
    gram, n_images = gram_of("cartesian", "frames")
    prior = noise(n_images, 2)
    images = agreed(gram, gram(prior), prior, torch.tensor(0.3, dtype=torch.float64), 2)
    torch.testing.assert_close(images, prior)


def test_no_iterate_is_kept():
    """The graph holds the prior, the images and mu, however many iterations there are."""
    gram, n_images = gram_of("radial", "frames")
    prior = noise(n_images, 2).requires_grad_()
    images = agreed(gram, noise(n_images, 1), prior, torch.tensor(0.3, dtype=torch.float64), ENOUGH)
    kept = images.grad_fn.saved_tensors
    assert sum(tensor.numel() for tensor in kept) == 2 * prior.numel() + 1
