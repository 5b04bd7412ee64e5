"""The measures against their definitions, written out with NumPy set by set."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from python_recon.losses.consistency import all_pairs, distance, residual, solve_kernels
from tests.numerics import complex_noise, relative_error

N_SETS, N_ROWS, N_UNKNOWNS, N_COILS = 4, 30, 12, 3
ALPHA = 1e-2


def sets(dtype=torch.complex64, device="cpu"):
    patches = complex_noise((N_SETS, N_ROWS, N_UNKNOWNS), 1)
    targets = complex_noise((N_SETS, N_ROWS, N_COILS), 2)
    return (torch.as_tensor(a, device=device).to(dtype) for a in (patches, targets))


def naive_kernels(patches, targets):
    kernels = []
    for p, t in zip(patches.astype(complex), targets.astype(complex), strict=True):
        gram = p.conj().T @ p
        ridge = ALPHA * np.linalg.norm(gram) / N_UNKNOWNS
        kernels.append(np.linalg.inv(gram + ridge * np.eye(N_UNKNOWNS)) @ p.conj().T @ t)
    return np.stack(kernels)


def test_kernels_are_those_of_the_formula(device):
    patches, targets = sets(device=device)
    kernels = solve_kernels(patches, targets, ALPHA)
    assert kernels.dtype == torch.complex64
    assert relative_error(kernels, naive_kernels(patches.cpu().numpy(), targets.cpu().numpy())) < 1e-6


def test_published_norms():
    patches, targets = sets()
    kernels = solve_kernels(patches, targets, ALPHA)
    p, t = patches.numpy(), targets.numpy()
    w = naive_kernels(p, t)
    own = np.mean([np.linalg.norm(p[s] @ w[s] - t[s]) for s in range(N_SETS)])
    every = sum(np.linalg.norm(p[i] @ w[j] - t[i]) for i in range(N_SETS) for j in range(N_SETS))
    apart = np.mean(
        [
            (np.abs((w[i] - w[j]).real).sum() + np.abs((w[i] - w[j]).imag).sum()) / (2 * N_UNKNOWNS * N_COILS)
            for i, j in itertools.product(range(N_SETS), repeat=2)
        ]
    )
    for measure, expected in ((residual, own), (all_pairs, every), (distance, apart)):
        assert measure(patches, targets, kernels, False).item() == pytest.approx(expected, rel=1e-5)


def test_relative_norms():
    patches, targets = sets()
    kernels = solve_kernels(patches, targets, ALPHA)
    p, t = patches.numpy(), targets.numpy()
    w = naive_kernels(p, t)

    def ratio(i, j):
        return np.linalg.norm(p[i] @ w[j] - t[i]) ** 2 / np.linalg.norm(t[i]) ** 2

    left = (N_ROWS - N_UNKNOWNS) / N_ROWS
    own = np.mean([ratio(s, s) for s in range(N_SETS)]) / left
    others = np.mean([ratio(i, j) for i, j in itertools.permutations(range(N_SETS), 2)]) * left
    assert residual(patches, targets, kernels, True).item() == pytest.approx(own, rel=1e-5)
    assert all_pairs(patches, targets, kernels, True).item() == pytest.approx(others, rel=1e-5)


@pytest.mark.parametrize(
    ("measure", "is_relative"),
    [(residual, False), (all_pairs, False), (distance, False), (distance, True)],
)
def test_gradients_are_those_of_finite_differences(measure, is_relative):
    def loss(p, t):
        return measure(p, t, solve_kernels(p, t, ALPHA), is_relative)

    # Fewer of everything: each number costs a difference.
    inputs = [a[:3, :7, :4].clone().requires_grad_() for a in sets(torch.complex128)]
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("measure", [residual, all_pairs])
def test_relative_norms_hold_their_denominators(measure):
    inputs = [a.requires_grad_() for a in sets(torch.complex128)]
    patches, targets = inputs
    kernels = solve_kernels(patches, targets, ALPHA)
    gradients = torch.autograd.grad(measure(*inputs, kernels, True), inputs, retain_graph=True)
    expected = torch.autograd.grad(held_ratio(measure, *inputs, kernels), inputs)
    for gradient, by_hand in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, by_hand)


def held_ratio(measure, patches, targets, kernels):
    """The relative norm, its denominators constants."""
    held = targets.detach().abs().square().sum((-2, -1))
    errors = torch.einsum("irn,jnc->ijrc", patches, kernels) - targets[:, None]
    ratios = errors.abs().square().sum((-2, -1)) / held[:, None]
    n_sets, (n_rows, n_unknowns) = len(patches), patches.shape[1:]
    if measure is residual:
        return ratios.diagonal().mean() * n_rows / (n_rows - n_unknowns)
    foreign = ratios.sum() - ratios.diagonal().sum()
    return foreign / (n_sets * (n_sets - 1)) * (n_rows - n_unknowns) / n_rows


@pytest.mark.parametrize("is_relative", [False, True])
@pytest.mark.parametrize("measure", [residual, all_pairs, distance])
def test_zeros_give_zero_and_finite_gradients(measure, is_relative, device):
    for dead in ("all", "one set", "one coil"):
        patches, targets = sets(device=device)
        if dead == "all":
            patches, targets = patches * 0, targets * 0
        elif dead == "one set":
            patches[1], targets[1] = 0, 0
        else:
            patches[..., ::N_COILS], targets[..., 0] = 0, 0
        patches.requires_grad_()
        targets.requires_grad_()
        loss = measure(patches, targets, solve_kernels(patches, targets, ALPHA), is_relative)
        loss.backward()
        assert torch.isfinite(loss)
        assert dead != "all" or loss == 0
        for gradient in (patches.grad, targets.grad):
            assert gradient is None or torch.isfinite(torch.view_as_real(gradient)).all()


def test_a_set_without_signal_does_not_count():
    patches, targets = sets()
    without = [a[:3] for a in (patches, targets)]
    patches[3], targets[3] = 0, 0
    for measure in (residual, all_pairs):
        losses = [measure(*a, solve_kernels(*a, ALPHA), True) for a in ((patches, targets), without)]
        torch.testing.assert_close(*losses)


def test_distance_does_not_reward_larger_patches():
    """Kernels shrink when patches grow: the gradient must not point there."""
    patches, targets = sets(torch.complex128)
    patches.requires_grad_()
    distance(patches, targets, solve_kernels(patches, targets, ALPHA), True).backward()
    growth = (patches.grad.conj() * patches.detach()).real.sum()
    assert abs(growth) < 1e-10 * patches.grad.abs().sum()


def test_rank_one_patches_are_solved_in_single_precision():
    """Neighbours that are all alike, and no ridge but that of rounding."""
    patches, _ = sets()
    patches = patches[..., :1].expand(-1, -1, N_UNKNOWNS)
    kernels = solve_kernels(patches, patches[..., :N_COILS], 0.0)
    assert relative_error(patches @ kernels, patches[..., :N_COILS]) < 1e-5
