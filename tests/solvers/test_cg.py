from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.solvers.cg import conjugate_gradient
from tests.numerics import complex_noise, relative_error

N = 12
CONDITIONS = (1.0, 30.0, 1000.0)


def systems(device="cpu"):
    """Hermitian systems of different conditioning, their right sides and NumPy's solutions."""
    spectra = [np.geomspace(1 / condition, 1, N) for condition in CONDITIONS]
    vectors = [np.linalg.qr(complex_noise((N, N), seed).astype(complex))[0] for seed in range(3)]
    matrices = np.stack([(v * s) @ v.conj().T for v, s in zip(vectors, spectra, strict=True)])
    right_sides = complex_noise((3, N), 5).astype(complex)
    solutions = np.linalg.solve(matrices, right_sides[..., None])[..., 0]
    tensor = torch.as_tensor(matrices.astype(np.complex64), device=device)

    def apply(x):
        return torch.einsum("sij,sjk->sik", tensor, x.reshape(3, N, 1)).reshape(x.shape)

    # (system, y, x): the solver is to sum over all axes but the first.
    shaped = torch.as_tensor(right_sides.astype(np.complex64), device=device).reshape(3, 4, 3)
    return apply, shaped, solutions.reshape(3, 4, 3)


def test_solution_is_that_of_numpy(device):
    apply, right_side, expected = systems(device)
    result = conjugate_gradient(apply, right_side, 60)
    for system, limit in enumerate((1e-6, 1e-5, 2e-3)):
        assert relative_error(result[system], expected[system]) < limit


def test_a_well_conditioned_system_does_not_wait_for_the_others():
    """Each has step lengths of its own: the unit matrix is solved by the first step."""
    apply, right_side, expected = systems()
    result = conjugate_gradient(apply, right_side, 1)
    assert relative_error(result[0], expected[0]) < 1e-6
    assert relative_error(result[2], expected[2]) > 0.1


def test_exact_termination():
    """As many steps as there are different eigenvalues."""
    spectrum = torch.tensor([0.2, 1.0, 3.0]).repeat_interleave(4)
    right_side = torch.as_tensor(complex_noise((2, N), 6))
    result = conjugate_gradient(lambda x: spectrum * x, right_side, 3)
    torch.testing.assert_close(result, right_side / spectrum, rtol=1e-5, atol=1e-5)


def test_many_more_steps_than_needed_do_no_harm():
    apply, right_side, expected = systems()
    result = conjugate_gradient(apply, right_side, 500)
    assert torch.isfinite(torch.view_as_real(result)).all()
    assert relative_error(result[2], expected[2]) < 2e-3


def test_a_zero_right_side_has_the_solution_zero():
    apply, right_side, expected = systems()
    right_side[1] = 0
    result = conjugate_gradient(apply, right_side, 60)
    assert not result[1].any()
    assert relative_error(result[0], expected[0]) < 1e-5


def test_arguments_are_left_as_they_are():
    apply, right_side, _ = systems()
    start = torch.as_tensor(complex_noise((3, 4, 3), 7))
    copies = right_side.clone(), start.clone()
    conjugate_gradient(apply, right_side, 5, start)
    assert torch.equal(right_side, copies[0])
    assert torch.equal(start, copies[1])


def test_start_value_counts():
    apply, right_side, expected = systems()
    near = torch.as_tensor((expected + 1e-3 * complex_noise(expected.shape, 8)).astype(np.complex64))
    from_zero = conjugate_gradient(apply, right_side, 4)
    from_near = conjugate_gradient(apply, right_side, 4, near)
    assert relative_error(from_near, expected) < 0.1 * relative_error(from_zero, expected)
    again = conjugate_gradient(apply, right_side, 60, torch.as_tensor(complex_noise((3, 4, 3), 9)))
    assert relative_error(again[1], expected[1]) < 1e-5


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_scale_does_not_matter(scale):
    """Raw data come at any scale; products of tiny numbers must not be taken for zero."""
    apply, right_side, _ = systems()
    expected = conjugate_gradient(apply, right_side, 20)
    result = conjugate_gradient(apply, scale * right_side, 20) / scale
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)


def test_after_step_counts_and_ends():
    apply, right_side, _ = systems()
    seen = []

    def after_step(done):
        seen.append(done)
        return done == 3

    result = conjugate_gradient(apply, right_side, 10, after_step=after_step)
    assert seen == [1, 2, 3]
    torch.testing.assert_close(result, conjugate_gradient(apply, right_side, 3))
