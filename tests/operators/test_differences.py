"""The proximal map of total variation against solvers of another kind."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

from python_recon.operators import differences
from python_recon.operators.differences import SpatialVariation, TotalVariation, neighbour_differences
from tests.numerics import complex_noise, relative_error

SHAPE = (7, 3, 4)


def exact_prox(series, matrix, weight, iterations=20_000):
    """The minimiser of ``|x - series|^2 / 2 + weight * sum |D x|`` in float64.

    By projected gradients on the dual: x = series - D^T p, every |p| at most the weight.
    """
    flat = series.reshape(len(series), -1).astype(complex)
    dual = np.zeros((len(matrix), flat.shape[1]), complex)
    step = 1 / np.linalg.norm(matrix, 2) ** 2
    for _ in range(iterations):
        dual += step * (matrix @ (flat - matrix.T @ dual))
        dual /= np.maximum(np.abs(dual) / weight, 1)
    return (flat - matrix.T @ dual).reshape(series.shape)


def converged(variation, series, weight, calls=400):
    """The same prox again and again: the state goes on where it was."""
    for _ in range(calls):
        result = variation.prox(series, weight)
    return result


@pytest.mark.parametrize("weight", [0.05, 0.4, 2.0])
@pytest.mark.parametrize("is_periodic", [False, True])
def test_prox_is_that_of_a_dual_solver(to_device, is_periodic, weight):
    matrix = neighbour_differences(SHAPE[0], is_periodic)
    series = complex_noise(SHAPE, 1)
    variation = TotalVariation(to_device(matrix.numpy()))
    result = converged(variation, to_device(series), weight)
    assert relative_error(result, exact_prox(series, matrix.numpy().astype(float), weight)) < 1e-4


def test_prox_of_real_series_is_that_of_a_quadratic_programme():
    """For real numbers the dual is a box, which SciPy's L-BFGS-B takes as it is."""
    weight, series = 0.3, np.random.default_rng(2).normal(size=(9, 1, 2)).astype(np.float32)
    matrix = neighbour_differences(9)
    result = converged(TotalVariation(matrix), torch.as_tensor(series + 0j), weight)
    assert result.imag.abs().max() < 1e-6
    d = matrix.numpy().astype(float)
    for column in range(2):
        y = series[:, 0, column].astype(float)
        dual = scipy.optimize.minimize(
            lambda p, y=y: (0.5 * np.sum((y - d.T @ p) ** 2), d @ (d.T @ p - y)),
            np.zeros(8),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-weight, weight)] * 8,
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        np.testing.assert_allclose(result[:, 0, column].real, y - d.T @ dual.x, atol=1e-5)


def test_scaled_rows_weigh_their_differences():
    matrix = neighbour_differences(SHAPE[0])
    scale = torch.tensor([0.2, 1.0, 3.0, 1.0, 0.5, 2.0])
    scaled = scale[:, None] * matrix
    series = complex_noise(SHAPE, 3)
    result = converged(TotalVariation(scaled), torch.as_tensor(series), 0.3)
    assert relative_error(result, exact_prox(series, scaled.numpy().astype(float), 0.3)) < 1e-4


def test_differences_may_be_those_of_a_subspace():
    """D V for an orthonormal basis V: the prox of the variation of the series behind the components."""
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(9, 3)))[0].astype(np.float32)
    matrix = neighbour_differences(9) @ torch.as_tensor(basis)
    components = complex_noise((3, 3, 4), 5)
    result = converged(TotalVariation(matrix), torch.as_tensor(components), 0.4)
    assert relative_error(result, exact_prox(components, matrix.numpy().astype(float), 0.4)) < 1e-4


@pytest.mark.parametrize("penalty", [0.3, 10.0])
def test_penalty_of_the_splitting_does_not_change_the_result(penalty):
    series, matrix = complex_noise(SHAPE, 6), neighbour_differences(SHAPE[0])
    result = converged(TotalVariation(matrix, penalty=penalty), torch.as_tensor(series), 0.4, 1000)
    assert relative_error(result, exact_prox(series, matrix.numpy().astype(float), 0.4)) < 2e-4


def test_first_call_is_near_and_further_calls_approach():
    series, matrix = complex_noise(SHAPE, 7), neighbour_differences(SHAPE[0])
    expected = exact_prox(series, matrix.numpy().astype(float), 0.3)
    variation = TotalVariation(matrix)
    errors = [relative_error(variation.prox(torch.as_tensor(series), 0.3), expected) for _ in range(8)]
    unchanged = relative_error(series, expected)
    assert errors[0] < 0.7 * unchanged
    assert errors[7] < 0.3 * errors[0]


def test_state_follows_a_series_that_changes_slowly():
    """As within an outer iteration: a few steps a call are enough once the series moves little."""
    matrix = neighbour_differences(SHAPE[0])
    series, change = complex_noise(SHAPE, 8), complex_noise(SHAPE, 9)
    warm = TotalVariation(matrix)
    for step in range(12):
        now = series + change * 0.5**step
        result = warm.prox(torch.as_tensor(now), 0.3)
    expected = exact_prox(now, matrix.numpy().astype(float), 0.3)
    cold = TotalVariation(matrix).prox(torch.as_tensor(now), 0.3)
    assert relative_error(result, expected) < 0.2 * relative_error(cold, expected)


def test_every_problem_has_a_state_of_its_own():
    matrix, series = neighbour_differences(SHAPE[0]), torch.as_tensor(complex_noise(SHAPE, 10))
    first, second = TotalVariation(matrix), TotalVariation(matrix)
    expected = first.prox(series, 0.3)
    converged(first, series, 0.3, 10)
    torch.testing.assert_close(second.prox(series, 0.3), expected)


@pytest.mark.parametrize("n_bytes", [1, 8 * 7 * 3, 8 * 7 * 5, 10**9])
def test_chunks_do_not_show(monkeypatch, n_bytes):
    matrix, series = neighbour_differences(SHAPE[0]), torch.as_tensor(complex_noise(SHAPE, 11))
    expected = converged(TotalVariation(matrix), series, 0.3, 3)
    monkeypatch.setitem(differences._WORKING_SET_BYTES, "cpu", n_bytes)
    torch.testing.assert_close(converged(TotalVariation(matrix), series, 0.3, 3), expected)


def test_extremes_of_the_weight(to_device):
    series = to_device(complex_noise(SHAPE, 12))
    before = series.clone()
    matrix = to_device(neighbour_differences(SHAPE[0]).numpy())
    torch.testing.assert_close(TotalVariation(matrix).prox(series, 0.0), series)
    constant = converged(TotalVariation(matrix), series, 1e3, 2000)
    torch.testing.assert_close(constant, series.mean(0).expand_as(series), atol=1e-3, rtol=1e-3)
    assert torch.equal(series, before)


def test_weight_may_be_a_tensor():
    matrix, series = neighbour_differences(SHAPE[0]), torch.as_tensor(complex_noise(SHAPE, 13))
    expected = TotalVariation(matrix).prox(series, 0.3)
    torch.testing.assert_close(TotalVariation(matrix).prox(series, torch.tensor(0.3)), expected)


def test_a_periodic_series_has_no_first_frame():
    matrix, series = neighbour_differences(SHAPE[0], is_periodic=True), torch.as_tensor(complex_noise(SHAPE))
    result = converged(TotalVariation(matrix), series, 0.3)
    rolled = converged(TotalVariation(matrix), series.roll(2, 0), 0.3)
    torch.testing.assert_close(rolled, result.roll(2, 0), atol=1e-5, rtol=1e-4)


def test_differences_of_successive_frames():
    series = torch.tensor([1.0, 4.0, 9.0, 16.0])
    assert (neighbour_differences(4) @ series).tolist() == [3, 5, 7]
    assert (neighbour_differences(4, is_periodic=True) @ series).tolist() == [3, 5, 7, -15]


@pytest.mark.parametrize("is_periodic", [False, True])
def test_one_frame_has_no_variation(is_periodic):
    series = torch.as_tensor(complex_noise((1, 3, 4)))
    variation = TotalVariation(neighbour_differences(1, is_periodic))
    torch.testing.assert_close(variation.prox(series, 5.0), series)


def joint_variation(images):
    across = torch.diff(images, dim=-1, append=images[..., -1:])
    down = torch.diff(images, dim=-2, append=images[..., -1:, :])
    return (across.abs().square() + down.abs().square()).sum(0).sqrt().sum()


def noisy_step(generator):
    """(image, y, x): an edge that two images share, and noise."""
    images = torch.zeros(2, 12, 17, dtype=torch.complex64)
    images[:, :, 8:] = torch.tensor([1.0, 0.5j])[:, None, None]
    return images + 0.2 * torch.randn(images.shape, dtype=images.dtype, generator=generator)


def test_spatial_prox_is_the_least_of_its_objective():
    generator = torch.Generator().manual_seed(1)
    images, weight = noisy_step(generator), torch.tensor(0.3)

    def objective(x):
        return (x - images).abs().square().sum() / 2 + weight * joint_variation(x)

    best = SpatialVariation(steps=500).prox(images, weight)
    least = objective(best)
    assert least < 0.8 * objective(images)
    for scale in (1e-1, 1e-2):
        for _ in range(20):
            nearby = best + scale * torch.randn(images.shape, dtype=images.dtype, generator=generator)
            assert objective(nearby) > least
        assert objective(best + scale * (images - best)) > least - 1e-4


def test_spatial_prox_keeps_its_state_between_calls():
    images, weight = noisy_step(torch.Generator().manual_seed(2)), torch.tensor(0.3)
    exact = SpatialVariation(steps=500).prox(images, weight)
    short = SpatialVariation(steps=3)
    errors = [relative_error(short.prox(images, weight), exact) for _ in range(60)]
    assert errors[-1] < 0.1 * errors[0]


def test_images_share_their_edges():
    """A faint image keeps an edge at a weight that would blur it alone, where a strong one has it too."""
    faint = torch.zeros(1, 8, 10, dtype=torch.complex64)
    faint[..., 5:] = 0.2
    weight = torch.tensor(0.3)
    alone = SpatialVariation(steps=500).prox(faint, weight)[0]
    together = SpatialVariation(steps=500).prox(torch.cat([faint, 10 * faint]), weight)[0]
    edge = [float((image[:, 5] - image[:, 4]).abs().mean()) for image in (alone, together)]
    assert edge[1] > 0.15 > 0.12 > edge[0]


def test_spatial_prox_leaves_constants_and_zero_weight_alone():
    constant = torch.full((3, 6, 9), 2 - 1j)
    torch.testing.assert_close(SpatialVariation().prox(constant, torch.tensor(5.0)), constant)
    images = noisy_step(torch.Generator().manual_seed(3))
    torch.testing.assert_close(SpatialVariation().prox(images, torch.tensor(0.0)), images)
