from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from python_recon.judging.shares import best_shares
from tests.fields.toys import generator
from tests.numerics import complex_noise

TRUST = 0.3


def signals(n_parts, seed=0):
    """Parts (part, point, coil) that overlap, and weights (point, 1)."""
    parts = torch.as_tensor(complex_noise((n_parts, 120, 3), seed))
    parts = parts + 0.4 * parts[:1]
    return parts, 0.1 + torch.rand(120, 1, generator=generator(seed))


def real_rows(values, weights):
    """Weighted complex values (..., point, coil) as real numbers (..., number)."""
    rows = (values * weights.sqrt()).numpy().astype(complex)
    rows = rows.reshape(*values.shape[:-2], -1)
    return np.concatenate([rows.real, rows.imag], -1)


def expected_shares(parts, wanted, weights):
    """The functional of the docstring, minimised by SciPy."""
    columns, right = real_rows(parts, weights).T, real_rows(wanted, weights)
    together = columns.sum(1)
    common = np.clip(together @ right / (together @ together), 0, 1)
    trust = (TRUST * (columns**2).sum(0)) ** 0.5
    return lsq_linear(np.vstack([columns, np.diag(trust)]), np.append(right, trust * common), (0, 1)).x


@pytest.mark.parametrize("n_parts", [1, 2, 5, 8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shares_are_those_that_minimise_what_is_stated(n_parts, seed):
    parts, weights = signals(n_parts, seed)
    true = 1.8 * torch.rand(n_parts, generator=generator(seed)) - 0.4
    wanted = torch.einsum("a,apc->pc", true.to(parts.dtype), parts)
    wanted = wanted + torch.as_tensor(complex_noise(wanted.shape, 9))
    found = best_shares(parts, wanted, weights)
    assert found.numpy() == pytest.approx(expected_shares(parts, wanted, weights), abs=1e-3)


def test_one_part_is_not_drawn_anywhere():
    parts, weights = signals(1)
    assert best_shares(parts, 0.6 * parts[0], weights) == pytest.approx(0.6, abs=1e-6)


def test_parts_of_nothing_have_no_shares():
    parts, weights = signals(3)
    wanted = parts[1].clone()
    parts[0] = 0
    assert best_shares(0 * parts, wanted, weights).tolist() == [0, 0, 0]
    shares = best_shares(parts, wanted, weights)
    assert shares[0] == 0
    assert shares[1] > 0.8


def test_what_is_not_finite_gives_shares_that_are_not():
    parts, weights = signals(2)
    parts[0, 3, 1] = float("nan")
    assert not torch.isfinite(best_shares(parts, parts[1], weights)).any()


@pytest.mark.cuda
def test_cuda_gives_the_shares_of_the_cpu():
    parts, weights = signals(4)
    wanted = 0.3 * parts.sum(0) + 0.2 * parts[2]
    found = best_shares(parts.cuda(), wanted.cuda(), weights.cuda())
    assert found.numpy() == pytest.approx(best_shares(parts, wanted, weights).numpy(), abs=1e-4)
