from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.operators.differences import neighbour_differences
from python_recon.operators.sense import data_weights
from python_recon.operators.sense_problem import SenseProblem, time_average
from tests.numerics import as_numpy, complex_noise, dft, dft_matrix, run_method, scan_heart


class Objective:
    """``|W^1/2 (F S x - y)|^2 / 2 + lambda sum |D x|`` by the explicit transform, in float64."""

    def __init__(self, scan, regularisation, is_periodic=False):
        kspace = scan.kspace.to_torch()
        self.kspace, self.maps = scan.kspace, scan.maps.maps
        self.weights = data_weights(kspace).numpy().astype(float)
        self.differences = neighbour_differences(kspace.n_frames, is_periodic).numpy().astype(float)
        noise = float(SenseProblem.from_kspace(kspace, scan.maps.to_torch()).noise)
        self.weight = regularisation * noise

    def __call__(self, images):
        images = as_numpy(images)
        residual = dft(images[:, None] * self.maps, self.kspace.trajectory) - self.kspace.data
        data_term = (self.weights[:, None] * np.abs(residual) ** 2).sum() / 2
        return data_term + self.weight * np.abs(np.einsum("df,fyx->dyx", self.differences, images)).sum()

    def minimise(self, iterations):
        """An independent solver: primal-dual hybrid gradients (doi:10.1007/s10851-010-0251-1), dense."""
        n_frames, shape = self.kspace.n_frames, self.kspace.matrix
        operators, right_sides = [], []
        for frame in range(n_frames):
            transform = dft_matrix(self.kspace.trajectory[frame], shape)
            encoding = np.concatenate([transform * coil.ravel() for coil in self.maps])
            weighted = encoding.conj().T * np.tile(self.weights[frame].ravel(), len(self.maps))
            operators.append(weighted @ encoding)
            right_sides.append(weighted @ self.kspace.data[frame].reshape(-1))
        operators, right_sides = np.stack(operators), np.stack(right_sides)
        norm = max(np.linalg.norm(operator, 2) for operator in operators)
        # Condat's form, with the gradient of the data term (doi:10.1007/s10957-012-0245-9).
        sigma = 0.25 * norm
        tau = 0.99 / (norm / 2 + 4 * sigma)
        x = np.zeros((n_frames, right_sides.shape[1]), complex)
        dual = np.zeros((len(self.differences), x.shape[1]), complex)
        for _ in range(iterations):
            gradient = np.einsum("fij,fj->fi", operators, x) - right_sides
            following = x - tau * (gradient + self.differences.T @ dual)
            dual += sigma * (self.differences @ (2 * following - x))
            dual /= np.maximum(np.abs(dual) / self.weight, 1)
            x = following
        return x.reshape(n_frames, *shape)


@pytest.fixture(scope="module")
def tiny():
    return scan_heart(5, 6, 3, (14, 14), spacing_s=0.02)


WEAK = 0.3
"""Regularisation under which the frames of the tiny scan differ; at the default they are nearly equal."""


@pytest.mark.parametrize("is_periodic", [False, True])
@pytest.mark.parametrize(("iterations", "gap"), [(12, 0.1), (100, 0.01), (400, 0.001)])
def test_objective_approaches_the_minimum_of_an_independent_solver(
    tiny, lowest, is_periodic, iterations, gap
):
    """The gap that is left of that between the start and the minimum."""
    objective = Objective(tiny, WEAK, is_periodic)
    start = time_average(tiny.kspace.to_torch(), tiny.maps.to_torch()).expand(5, -1, -1)
    result = run_method(
        "grasp",
        tiny.kspace,
        tiny.maps,
        iterations=iterations,
        regularisation=WEAK,
        is_periodic=is_periodic,
    )
    left = objective(result.images) - lowest[is_periodic]
    assert left < gap * (objective(start) - lowest[is_periodic])


@pytest.fixture(scope="module")
def lowest(tiny):
    """Minimum of the objective, by whether the series is periodic."""
    objectives = {is_periodic: Objective(tiny, WEAK, is_periodic) for is_periodic in (False, True)}
    return {key: objective(objective.minimise(4000)) for key, objective in objectives.items()}


def test_no_perturbation_is_better(tiny):
    objective = Objective(tiny, WEAK)
    result = run_method("grasp", tiny.kspace, tiny.maps, iterations=400, regularisation=WEAK)
    images = as_numpy(result.images)
    lowest = objective(images)
    changes = [complex_noise(images.shape, seed) for seed in range(5)]
    changes += [np.roll(images, 1, 0) - images, images.mean(0) - images, images]
    for change in changes:
        for length in (0.03, -0.03, 0.3):
            step = length * np.linalg.norm(images) / np.linalg.norm(change)
            assert objective(images + step * change) >= 0.9995 * lowest


@pytest.mark.parametrize("iterations", [1, 3, 6])
def test_objective_falls(tiny, iterations):
    objective = Objective(tiny, 4.0)
    few = run_method("grasp", tiny.kspace, tiny.maps, iterations=iterations).images
    more = run_method("grasp", tiny.kspace, tiny.maps, iterations=2 * iterations).images
    start = time_average(tiny.kspace.to_torch(), tiny.maps.to_torch()).expand(len(few), -1, -1)
    assert objective(more) < objective(few) < objective(start)


def test_regularisation_goes_from_frames_of_their_own_to_one_for_all(small_heart):
    def variation(regularisation):
        images = run_method(
            "grasp", small_heart.kspace, small_heart.maps, regularisation=regularisation
        ).images
        return float((images[1:] - images[:-1]).abs().sum())

    variations = [variation(r) for r in (0.0, 1.0, 4.0, 16.0)]
    assert np.all(np.diff(variations) < 0)
    assert variations[-1] < 0.002 * variations[0]


def test_a_still_object_is_as_good_as_all_spokes_in_one_frame():
    still = {"contraction": 0.0, "breathing_amplitude_mm": 0.0, "contrast": 0.0}
    scan = scan_heart(8, 8, 4, (32, 32), **still)
    series = scan.psnr(run_method("grasp", scan.kspace, scan.maps).images)
    pooled = scan_heart(1, 64, 4, (32, 32), **still)
    assert series > pooled.psnr(run_method("cg_sense", pooled.kspace, pooled.maps).images) - 1


def test_periodic_series_join_their_ends(small_heart):
    kspace, maps = small_heart.kspace, small_heart.maps
    apart = run_method("grasp", kspace, maps).images
    joined = run_method("grasp", kspace, maps, is_periodic=True).images

    def gap(images):
        return float((images[0] - images[-1]).abs().sum())

    assert gap(joined) < 0.9 * gap(apart)
    rolled = torch.as_tensor(np.roll(as_numpy(joined), 2, 0))
    shifted = run_method("grasp", _rolled(kspace, 2), maps, is_periodic=True).images
    assert (shifted - rolled).norm() < 5e-3 * rolled.norm()


def _rolled(kspace, shift):
    return replace(
        kspace,
        data=np.roll(kspace.data, shift, 0),
        trajectory=np.roll(kspace.trajectory, shift, 0),
        density=np.roll(kspace.density, shift, 0),
    )
