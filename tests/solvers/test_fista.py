from __future__ import annotations

import numpy as np
import torch

from python_recon.solvers.fista import accelerated_proximal_gradient
from tests.numerics import complex_noise, relative_error

WEIGHT = 0.6


def soft(x, threshold):
    length = x.abs()
    return x * (1 - threshold / length.clamp_min(1e-30)).clamp_min(0)


class Lasso:
    """``|A x - y|^2 / 2 + WEIGHT * sum |x|`` with a solution that is known by construction.

    The solution x is chosen and so is a subgradient s of the sum of magnitudes; ``A^H y`` is what makes
    ``A^H (A x - y) + WEIGHT s = 0`` true, which is sufficient for the minimum.
    """

    def __init__(self, device="cpu"):
        operator = complex_noise((40, 24), 1).astype(complex) / 8
        self.solution = complex_noise((24,), 2).astype(complex)
        self.solution[::2] = 0
        inactive = complex_noise((24,), 3).astype(complex)
        inactive *= 0.7 / np.abs(inactive).max()
        is_active = self.solution != 0
        subgradient = np.where(
            is_active, self.solution / np.where(is_active, abs(self.solution), 1), inactive
        )
        normal = operator.conj().T @ operator
        self._normal = torch.as_tensor(normal.astype(np.complex64), device=device)
        right_side = normal @ self.solution + WEIGHT * subgradient
        self.right_side = torch.as_tensor(right_side.astype(np.complex64), device=device)
        self.step = torch.tensor(1 / np.linalg.norm(normal, 2), dtype=torch.float32, device=device)
        self.exact = normal, right_side

    def normal_op(self, x):
        return self._normal @ x

    def objective(self, x):
        normal, right_side = self.exact
        x = x.numpy().astype(complex)
        return (x.conj() @ normal @ x / 2 - x.conj() @ right_side).real + WEIGHT * np.abs(x).sum()

    def solve(self, iterations, start=None, after_step=None):
        start = torch.zeros_like(self.right_side) if start is None else start
        return accelerated_proximal_gradient(
            self.normal_op,
            self.right_side,
            lambda x, step: soft(x, step * WEIGHT),
            start,
            self.step,
            iterations,
            after_step,
        )


def test_the_known_solution_of_a_lasso_is_found(device):
    lasso = Lasso(device)
    result = lasso.solve(400)
    assert relative_error(result, lasso.solution) < 1e-4
    assert not result[::2].any(), "zeros are exact"


def test_from_anywhere_to_the_same_solution():
    lasso = Lasso()
    result = lasso.solve(400, torch.as_tensor(10 * complex_noise((24,), 4)))
    assert relative_error(result, lasso.solution) < 1e-4


def test_convergence_is_as_fast_as_theory_says():
    """Gap of the objective of at most 2 L |x0 - x|^2 / (k + 1)^2 (theorem 4.4 of the paper)."""
    lasso = Lasso()
    solution = torch.as_tensor(lasso.solution)
    for iterations in (5, 10, 20, 50):
        gap = lasso.objective(lasso.solve(iterations)) - lasso.objective(solution)
        bound = 2 / float(lasso.step) * np.linalg.norm(lasso.solution) ** 2 / (iterations + 1) ** 2
        assert gap < bound + 1e-5


def test_momentum_restarts_on_an_ill_conditioned_quadratic():
    """Without restarts the momentum would swing past the minimum again and again."""
    spectrum = torch.logspace(-2, 0, 20)
    expected = torch.as_tensor(complex_noise((20,), 5))
    result = accelerated_proximal_gradient(
        lambda x: spectrum * x,
        spectrum * expected,
        lambda x, _step: x,
        torch.zeros_like(expected),
        torch.tensor(1.0),
        200,
    )
    assert relative_error(result, expected) < 1e-4


def test_one_step_is_a_proximal_gradient_step():
    lasso = Lasso()
    start = torch.as_tensor(complex_noise((24,), 6))
    gradient = lasso.normal_op(start) - lasso.right_side
    expected = soft(start - lasso.step * gradient, lasso.step * WEIGHT)
    torch.testing.assert_close(lasso.solve(1, start), expected)


def test_after_step_counts_and_ends():
    lasso, seen = Lasso(), []

    def after_step(done):
        seen.append(done)
        return done == 4

    result = lasso.solve(10, after_step=after_step)
    assert seen == [1, 2, 3, 4]
    torch.testing.assert_close(result, lasso.solve(4))


def test_start_is_left_as_it_is():
    lasso = Lasso()
    start = torch.as_tensor(complex_noise((24,), 7))
    before = start.clone()
    lasso.solve(5, start)
    assert torch.equal(start, before)
