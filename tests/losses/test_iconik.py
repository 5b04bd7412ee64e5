from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ShapeError
from python_recon.losses import Iconik, hdr, innermost
from tests.losses.scene import MATRIX, N_COILS
from tests.numerics import complex_noise, relative_error

SPACING = torch.tensor([2 / MATRIX[1], 2 / MATRIX[0]])


def correction(n_coils=3, seed=1):
    return Iconik(n_coils, torch.Generator().manual_seed(seed))


def naive(values, weights):
    """The three convolutions by loops, for one neighbourhood (3, 3, coil)."""
    x = values.astype(complex)
    x[1, 1] = 0
    for layer, weight in enumerate(weights):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = [[padded[y : y + 3, x : x + 3] for x in range(3)] for y in range(3)]
        x = np.array([[np.einsum("yxi,oiyx->o", w, weight) for w in row] for row in windows])
        if layer < 2:
            x = np.maximum(x.real, 0) + 1j * np.maximum(x.imag, 0)
    return x[1, 1]


def test_is_three_convolutions(device):
    module = correction()
    weights = [torch.view_as_complex(w.detach()).numpy().astype(complex) for w in module.weights]
    values = complex_noise((5, 3, 3, 3), 2)
    result = module.to(device)(torch.as_tensor(values, device=device))
    assert relative_error(result, np.stack([naive(v, weights) for v in values])) < 1e-5


def test_sample_itself_is_not_seen():
    values = torch.as_tensor(complex_noise((4, 3, 3, 3), 2))
    other = values.clone()
    other[:, 1, 1] = 9
    module = correction()
    assert torch.equal(module(values), module(other))
    for y, x in ((0, 0), (0, 1), (2, 1)):
        other = values.clone()
        other[:, y, x] = 9
        assert not torch.allclose(module(values), module(other)), "every neighbour is"


def test_scales_with_kspace():
    values = torch.as_tensor(complex_noise((4, 3, 3, 3), 2))
    module = correction()
    torch.testing.assert_close(module(1e-4 * values), 1e-4 * module(values))
    assert not module(0 * values).any()


def test_initial_weights_keep_the_order_of_power():
    values = torch.as_tensor(complex_noise((200, 3, 3, 8), 2))
    power = correction(8)(values).abs().square().mean() / values.abs().square().mean()
    assert 0.05 < power < 3


def test_neighbourhood_is_centred_with_rows_along_ky():
    k = torch.tensor([[0.1, 0.2], [-0.3, 0.4]])
    points = correction(2).neighbourhood(k, SPACING)
    assert points.shape == (2, 3, 3, 2)
    torch.testing.assert_close(points[:, 1, 1], k)
    torch.testing.assert_close(points[:, 1, 2] - k, torch.tensor([SPACING[0], 0.0]).expand(2, 2))
    torch.testing.assert_close(points[:, 2, 1] - k, torch.tensor([0.0, SPACING[1]]).expand(2, 2))


def test_innermost_samples():
    radii = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.7])
    k = torch.stack([radii, torch.zeros(5)], -1)
    assert innermost(k).tolist() == [1, 3]
    assert len(innermost(k, 1.0)) == 5


def test_calibration_lowers_the_error_elsewhere(kspace):
    """Calibrated on the inner k-space, the correction predicts samples further out that it never saw."""
    y, x = torch.meshgrid(torch.arange(-24, 25), torch.arange(-20, 21), indexing="ij")
    grid = torch.stack([x.flatten(), y.flatten()], -1) * SPACING
    k = grid[grid.norm(dim=-1) < 0.9]
    scale = kspace.values.abs().max()
    inner = innermost(k, 0.4)
    is_outer = torch.ones(len(k), dtype=torch.bool)
    is_outer[inner] = False
    module = correction(N_COILS)
    values, targets = kspace(module.neighbourhood(k, SPACING)) / scale, kspace(k) / scale
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    before = relative_error(module(values[is_outer]), targets[is_outer])
    for _ in range(150):
        optimiser.zero_grad()
        hdr(module(values[inner]), targets[inner], 0.1).backward()
        optimiser.step()
    after = relative_error(module(values[is_outer]), targets[is_outer])
    assert before > 0.9
    assert after < 0.5


def test_frozen_correction_passes_gradients_to_the_field():
    module = correction().requires_grad_(False)
    values = torch.as_tensor(complex_noise((4, 3, 3, 3), 2)).requires_grad_()
    module(values).abs().square().sum().backward()
    assert values.grad.any()
    assert not values.grad[:, 1, 1].any()


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"\(4, 3, 3, 2\).*\(point, 3, 3, 3\)"):
        correction()(torch.zeros(4, 3, 3, 2, dtype=torch.complex64))
