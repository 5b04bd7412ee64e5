from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ConfigError, ShapeError
from python_recon.losses import hdr, hdr_weights
from tests.numerics import complex_noise

EPSILON = 0.03


def values(n_points=7, n_coils=3):
    return (torch.as_tensor(complex_noise((n_points, n_coils), seed)) for seed in (1, 2))


def test_is_the_published_formula(device):
    prediction, target = values()
    k = np.random.default_rng(4).uniform(-1, 1, (7, 2)).astype(np.float32)
    scale = np.abs(prediction.numpy()) + EPSILON
    low_pass = np.exp(-(k**2).sum(1) / (2 * 0.4**2))[:, None]
    data = np.mean(np.abs((prediction - target).numpy() / scale) ** 2)
    outer = np.mean(np.abs((1 - low_pass) * prediction.numpy() / scale) ** 2)
    moved = (a.to(device) for a in (prediction, target))
    loss = hdr(*moved, EPSILON, outer_weight=0.1, k=torch.as_tensor(k, device=device), sigma=0.4)
    assert loss.item() == pytest.approx(data + 0.1 * outer, rel=1e-5)


def test_denominator_has_no_gradient():
    prediction, target = values()
    prediction.requires_grad_()
    hdr(prediction, target, EPSILON).backward()
    by_hand = 2 * hdr_weights(prediction, EPSILON) * (prediction - target).detach() / prediction.numel()
    torch.testing.assert_close(prediction.grad, by_hand)


def test_weights_are_those_of_the_loss():
    prediction, target = values()
    weighted = hdr_weights(prediction, EPSILON) * (prediction - target).abs() ** 2
    torch.testing.assert_close(hdr(prediction, target, EPSILON), weighted.mean())


def test_zeros_are_harmless():
    prediction = torch.zeros(4, 2, dtype=torch.complex64, requires_grad=True)
    loss = hdr(prediction, prediction.detach(), outer_weight=0.1, k=torch.zeros(4, 2))
    loss.backward()
    assert loss == 0
    assert not prediction.grad.any()


def test_shapes_that_would_broadcast_are_refused():
    prediction, target = values()
    with pytest.raises(ShapeError, match=r"\(7, 3\).*\(1, 3\)"):
        hdr(prediction, target[:1])


def test_second_term_needs_coordinates():
    with pytest.raises(ConfigError, match="coordinates"):
        hdr(*values(), outer_weight=0.1)
