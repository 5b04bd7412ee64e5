from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import CoilMaps
from python_recon.operators.sense import combine, data_weights
from tests.numerics import dft_matrix, relative_error, run_method, scan_heart


@pytest.fixture(scope="module")
def tiny():
    return scan_heart(2, 5, 3, (14, 14))


def dense_solution(scan, frame, regularisation):
    """Minimiser of ``|W^1/2 (F S x - y)|^2 + regularisation |x|^2`` with dense matrices in float64."""
    kspace, maps = scan.kspace, scan.maps.maps.astype(complex)
    weights = data_weights(kspace.to_torch())[frame].numpy().ravel().astype(float)
    transform = dft_matrix(kspace.trajectory[frame], kspace.matrix)
    encoding = np.concatenate([transform * coil.ravel() for coil in maps])
    all_weights, data = np.tile(weights, len(maps)), kspace.data[frame].reshape(-1)
    normal = (encoding.conj().T * all_weights) @ encoding + regularisation * np.eye(encoding.shape[1])
    return np.linalg.solve(normal, encoding.conj().T @ (all_weights * data)).reshape(kspace.matrix)


@pytest.mark.parametrize("regularisation", [0.01, 0.3])
def test_it_converges_to_the_regularised_solution(tiny, device, regularisation):
    result = run_method(
        "cg_sense", tiny.kspace, tiny.maps, device, iterations=200, regularisation=regularisation
    )
    for frame in range(2):
        assert relative_error(result.images[frame], dense_solution(tiny, frame, regularisation)) < 5e-3


def test_frames_do_not_know_of_each_other(small_heart):
    together = run_method("cg_sense", small_heart.kspace, small_heart.maps).images
    alone = run_method("cg_sense", small_heart.kspace.frames(slice(3, 4)), small_heart.maps).images
    assert relative_error(together[3:4], alone) < 1e-4


def test_regularisation_shrinks(small_heart):
    power = [
        float(run_method("cg_sense", small_heart.kspace, small_heart.maps, regularisation=r).images.norm())
        for r in (0.0, 0.1, 1.0, 10.0)
    ]
    assert np.all(np.diff(power) < 0)
    assert power[-1] < 0.2 * power[0]


def test_coils_together_unfold_what_each_cannot():
    """Against every coil on its own, combined afterwards: undersampling is paid for by the sensitivities."""
    scan = scan_heart(2, 8, 8, (32, 32), noise=0.005)
    together = run_method("cg_sense", scan.kspace, scan.maps).images
    no_maps = CoilMaps(np.ones((1, 32, 32), np.complex64), "none")
    coils = [replace(scan.kspace, data=scan.kspace.data[:, coil : coil + 1]) for coil in range(8)]
    alone = [run_method("cg_sense", coil, no_maps).images for coil in coils]
    combined = combine(torch.stack(alone, 1), torch.as_tensor(scan.maps.maps))
    assert scan.psnr(together) > scan.psnr(combined) + 2
