from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.radial.density import ramp_density
from python_recon.methods.low_resolution import at_low_resolution
from python_recon.methods.subspace import SubspaceOptions, temporal_basis
from python_recon.resources.schedule import Budget
from tests.numerics import (
    as_numpy,
    budget_of_steps,
    complex_noise,
    dft,
    relative_error,
    run_method,
    scan_heart,
)


@pytest.fixture(scope="module")
def two_curves():
    """A scan whose frames are exactly two images times two temporal curves, sampled without error."""
    scan = scan_heart(12, 13, 4, (24, 24), contrast=0.0)
    time = np.linspace(0, 1, 12)
    curves = np.stack([np.ones(12), np.sin(2 * np.pi * time)], 1)
    still, moving = scan.truth[0], np.zeros((24, 24))
    moving[8:15, 9:17] = 0.3
    series = still + curves[:, 1, None, None] * moving
    data = dft(series[:, None] * scan.maps.maps, scan.kspace.trajectory)
    data = data + 1e-3 * complex_noise(data.shape, 5)
    return replace(scan, kspace=replace(scan.kspace, data=data.astype(np.complex64)), truth=series), curves


def basis_of(scan, device="cpu", budget=None, **options):
    kspace, maps = scan.kspace.to_torch(device), scan.maps.to_torch(device)
    with torch.no_grad():
        return as_numpy(temporal_basis(kspace, maps, SubspaceOptions(**options), budget or Budget()))


@pytest.mark.parametrize("training_matrix", [16, 40])
def test_basis_holds_the_curves_of_the_object(two_curves, device, training_matrix):
    scan, curves = two_curves
    basis = basis_of(scan, device, components=2, training_matrix=training_matrix, regularisation=0.3)
    unexplained = curves - basis @ (basis.T @ curves)
    assert np.linalg.norm(unexplained, axis=0) == pytest.approx(0, abs=0.05 * np.linalg.norm(curves[:, 1]))


def test_two_components_are_enough_for_two_curves(two_curves):
    scan, _ = two_curves
    images = run_method("subspace", scan.kspace, scan.maps, components=2).images
    assert relative_error(images, scan.truth) < 1.1 * relative_error(
        run_method("grasp", scan.kspace, scan.maps).images, scan.truth
    )
    values = np.linalg.svd(as_numpy(images).reshape(12, -1), compute_uv=False)
    assert values[2] < 1e-5 * values[0]


def test_basis_is_orthonormal_and_in_order_of_energy(heart):
    basis = basis_of(heart)
    assert basis.shape == (16, 8)
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-5)
    energies = np.linalg.norm(basis.T @ heart.truth.reshape(16, -1), axis=1)
    assert np.all(np.diff(energies[:3]) < 0)


def test_basis_of_the_truth_is_found(heart):
    """The curves that were learned explain the true series nearly as well as its own singular vectors."""
    series = heart.truth.reshape(16, -1)
    best = np.linalg.eigh((series @ series.conj().T).real)[1][:, -6:]
    basis = basis_of(heart, components=6)
    moving = series - series.mean(0)
    left_out = np.linalg.norm(moving - basis @ (basis.T @ moving)) / np.linalg.norm(moving)
    least = np.linalg.norm(moving - best @ (best.T @ moving)) / np.linalg.norm(moving)
    assert least < 0.01
    assert left_out < 0.25


def test_no_more_components_than_frames(small_heart):
    result = run_method("subspace", small_heart.kspace, small_heart.maps, components=40)
    assert result.details["components"] == 6


def test_a_full_subspace_is_grasp(small_heart):
    """With as many components as frames, and without its spatial term, it minimises the same."""
    same = {"components": 6, "iterations": 60, "regularisation": 4.0, "spatial_regularisation": 0.0}
    full = run_method("subspace", small_heart.kspace, small_heart.maps, **same).images
    grasp = run_method("grasp", small_heart.kspace, small_heart.maps, iterations=60).images
    assert relative_error(full, grasp) < 0.02


def test_training_uses_the_samples_of_the_small_matrix_alone(heart):
    """What lies beyond its k-space changes nothing."""
    kspace = heart.kspace
    outside = (np.abs(kspace.trajectory) > 20.5).any(-1)
    spoilt = replace(kspace, data=np.where(outside[:, None], 99, kspace.data).astype(np.complex64))
    result, expected = (basis_of(replace(heart, kspace=k), components=3) for k in (spoilt, kspace))
    np.testing.assert_allclose(np.abs(result), np.abs(expected), atol=1e-4)


def test_borrowed_spokes_do_not_spoil_the_training():
    """They weigh nothing near the centre of k-space: with or without them the main curves are the same."""
    scan = scan_heart(8, 13, 4, (32, 32))
    is_shared = np.zeros((8, 13), bool)
    is_shared[:, [0, 12]] = True
    with_borrowed = replace(scan.kspace, is_shared=is_shared)
    without = replace(
        scan.kspace,
        data=scan.kspace.data[:, :, 1:12],
        trajectory=scan.kspace.trajectory[:, 1:12],
        spoke_times_s=None,
        density=None,
    )
    bases = [
        basis_of(replace(scan, kspace=replace(k, density=ramp_density(k))), components=2, training_matrix=16)
        for k in (with_borrowed, without)
    ]
    overlap = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert overlap.min() > 0.97


def test_padding_does_not_widen_the_training(small_heart):
    """Its samples lie at the centre of k-space, all of them: they would make it as dear as the full scan."""
    kspace = small_heart.kspace
    mask = np.ones((6, 8), bool)
    mask[:, 5:] = False
    padded = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        spoke_mask=mask,
    )
    padded = replace(padded, density=ramp_density(padded))
    maps = small_heart.maps.to_torch()
    low, low_maps = at_low_resolution(padded.to_torch(), maps, 16)
    assert low.matrix == tuple(low_maps.maps.shape[1:]) == (16, 16)
    assert low.n_samples < 0.8 * kspace.n_samples


def test_both_stages_heed_the_deadline(small_heart):
    stages, three_steps = [], budget_of_steps(3)

    def report(stage, done):
        stages.append(stage)
        three_steps.report(stage, done)

    budget = Budget(three_steps.seconds, report)
    run_method("subspace", small_heart.kspace, small_heart.maps, budget=budget, iterations=30)
    assert 1 <= stages.count("temporal basis") <= 3
    assert stages.count("subspace") == 1
