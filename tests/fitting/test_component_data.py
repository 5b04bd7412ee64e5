from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.fitting.component_data import ComponentData, _squares, joint_variation
from tests.numerics import complex_noise, relative_error


class Matrix:
    """A normal operator as a dense matrix."""

    def __init__(self, root):
        self.normal = torch.as_tensor(root.conj().T @ root)

    def __call__(self, components):
        return (self.normal @ components.flatten()).reshape(components.shape)


@pytest.fixture
def known():
    """A data term |A u - y|^2 / 2 whose every part is known."""
    root, data = complex_noise((30, 24), 1), complex_noise((30,), 2)
    right_side = torch.as_tensor((root.conj().T @ data).reshape(2, 3, 4))
    energy = torch.tensor(float(np.vdot(data, data).real))
    return root, data, ComponentData(Matrix(root), right_side, energy)


def test_slope_and_misfit_of_the_data_term(known):
    root, data, term = known
    components = torch.as_tensor(complex_noise((2, 3, 4), 3))
    missing = root @ components.numpy().ravel() - data
    slope, misfit = term.slope(components)
    assert relative_error(slope.flatten(), root.conj().T @ missing) < 1e-4
    assert float(misfit) == pytest.approx(np.vdot(missing, missing).real / np.vdot(data, data).real, rel=1e-4)


def test_no_image_at_all_misses_all_of_the_data(known):
    assert float(known[2].slope(torch.zeros(2, 3, 4, dtype=torch.complex64))[1]) == 1


def test_joint_variation_counts_edges_that_coincide_once():
    step = torch.zeros(2, 5, 7, dtype=torch.complex64)
    step[0, :, 3:] = 3.0
    alone = joint_variation(step, torch.tensor(1.0))
    step[1, :, 3:] = 4.0j
    assert float(alone) == pytest.approx(15, rel=1e-3)
    assert float(joint_variation(step, torch.tensor(1.0))) == pytest.approx(25, rel=1e-3)


def test_joint_variation_has_a_slope_where_there_are_no_edges():
    flat = torch.ones(2, 5, 7, dtype=torch.complex64, requires_grad=True)
    joint_variation(flat, torch.tensor(1.0)).backward()
    assert torch.isfinite(torch.view_as_real(flat.grad)).all()


def test_squares_of_the_curves_in_few_directions():
    curves = torch.randn(50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    directions, factors = _squares(curves)
    assert factors.shape == (4 * 5 / 2, 50)
    found = torch.einsum("ds,dk,dl->skl", factors, directions, directions)
    torch.testing.assert_close(found, curves[:, :, None] * curves[:, None])
