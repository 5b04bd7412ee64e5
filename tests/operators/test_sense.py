from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.radial.density import ramp_density
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ShapeError
from python_recon.operators.sense import Sense, combine, data_weights, density_of
from tests.numerics import (
    adjoint_dft,
    assert_adjoint,
    complex_noise,
    dft,
    dft_matrix,
    golden_spokes,
    relative_error,
)

MATRIX = (16, 16)
N_FRAMES, N_COILS, N_SPOKES, N_SAMPLES = 3, 4, 6, 26


@pytest.fixture
def kspace():
    data = complex_noise((N_FRAMES, N_COILS, N_SPOKES, N_SAMPLES), 1)
    kspace = KSpace(data, golden_spokes(N_FRAMES, N_SPOKES, N_SAMPLES, MATRIX), MATRIX)
    return replace(kspace, density=ramp_density(kspace))


@pytest.fixture
def maps():
    return complex_noise((N_COILS, *MATRIX), 2)


def sense_of(kspace, maps, to_device, tolerance=1e-5):
    on_device = replace(
        kspace, data=to_device(kspace.data), trajectory=to_device(kspace.trajectory), density=None
    )
    return Sense(on_device, CoilMaps(to_device(maps), "test"), tolerance)


def test_forward_and_adjoint_are_the_explicit_ones(kspace, maps, to_device):
    sense = sense_of(kspace, maps, to_device)
    images = complex_noise((N_FRAMES, *MATRIX), 3)
    expected = dft(images[:, None] * maps, kspace.trajectory)
    assert relative_error(sense.forward(to_device(images)), expected) < 1e-5
    coil_images = adjoint_dft(kspace.data, kspace.trajectory, MATRIX)
    assert relative_error(sense.adjoint(to_device(kspace.data)), (coil_images * maps.conj()).sum(1)) < 1e-5


def test_adjoint_is_the_adjoint(kspace, maps, to_device):
    sense = sense_of(kspace, maps, to_device, 1e-3)
    assert_adjoint(sense.forward, sense.adjoint, (N_FRAMES, *MATRIX), kspace.data.shape, to_device, 1e-6)


def test_combination_undoes_maps_of_unit_norm(maps):
    maps = torch.as_tensor(maps / np.linalg.norm(maps, axis=0))
    images = torch.as_tensor(complex_noise((N_FRAMES, *MATRIX), 4))
    torch.testing.assert_close(combine(images[:, None] * maps, maps), images)


def test_weights_are_the_density_up_to_a_cell_of_its_own(kspace):
    """Near the centre spokes are dense and weigh by their area; further out a sample is one cell at most."""
    weights, density = data_weights(kspace.to_torch()), torch.as_tensor(kspace.density)
    radius = torch.linalg.vector_norm(torch.as_tensor(kspace.trajectory), dim=-1)
    spacing = (radius[..., 0] - radius[..., 1]).abs()[..., None]
    torch.testing.assert_close(weights, torch.minimum(density, spacing))
    inside = radius < 0.5 * N_SPOKES / np.pi
    assert torch.equal(weights[inside], density[inside])
    outside = radius > 3 * N_SPOKES / np.pi
    assert (weights[outside] < 0.7 * density[outside]).all()


@pytest.mark.parametrize("n_spokes", [2, 6, 34])
def test_weights_give_eigenvalues_of_up_to_about_one(n_spokes):
    trajectory = golden_spokes(1, n_spokes, N_SAMPLES, MATRIX)
    kspace = KSpace(np.ones((1, 1, n_spokes, N_SAMPLES), np.complex64), trajectory, MATRIX)
    kspace = replace(kspace, density=ramp_density(kspace)).to_torch()
    transform = dft_matrix(trajectory, MATRIX)
    weights = data_weights(kspace).numpy().ravel()
    largest = np.linalg.eigvalsh((transform.conj().T * weights) @ transform).max()
    assert 0.8 < largest < 1.5


def test_padding_weighs_nothing(kspace):
    mask = np.ones((N_FRAMES, N_SPOKES), bool)
    mask[1, 4:] = False
    padded = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        spoke_mask=mask,
    )
    padded = replace(padded, density=ramp_density(padded)).to_torch()
    weights = data_weights(padded)
    assert not weights[1, 4:].any()
    assert (weights[1, :4] > 0).all()


def test_missing_density_is_told(kspace):
    with pytest.raises(ShapeError, match="fill_density"):
        density_of(replace(kspace, density=None))
