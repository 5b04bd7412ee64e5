from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.networks.consistency import consistent
from tests.numerics import complex_noise, relative_error

SHAPE = (2, 3, 4)


@pytest.fixture
def normal():
    """A Hermitian matrix whose eigenvalues fill 0 to 1."""
    vectors, _ = np.linalg.qr(complex_noise((24, 24), 1))
    return torch.as_tensor((vectors * np.linspace(0, 1, 24)) @ vectors.conj().T).to(torch.complex64)


@pytest.fixture
def gram(normal):
    return lambda images: (normal @ images.flatten()).reshape(images.shape)


@pytest.mark.parametrize(
    ("mu", "steps", "error"), [(1.0, 1, 0.34), (1.0, 4, 0.02), (5.0, 1, 0.1), (5.0, 2, 0.01)]
)
def test_it_is_the_least_of_both_terms(normal, gram, mu, steps, error):
    """At the rate that is documented."""
    change, residual = (torch.as_tensor(complex_noise(SHAPE, seed)) for seed in (2, 3))
    exact = torch.linalg.solve(normal + mu * torch.eye(24), residual.flatten() + mu * change.flatten())
    result = consistent(gram, change, residual, mu, steps)
    mended, wanted = result - change, exact.reshape(SHAPE) - change
    assert relative_error(mended, wanted) < error


def test_data_that_agree_are_left_alone(gram):
    change = torch.as_tensor(complex_noise(SHAPE, 2))
    assert relative_error(consistent(gram, change, gram(change), 3.0, 3), change) < 1e-6


def test_its_gradient_is_that_of_the_operator_itself(gram):
    """The short backward pass against Torch's through all operations."""
    residual, weights = (torch.as_tensor(complex_noise(SHAPE, seed)) for seed in (3, 4))
    slopes = []
    for is_plain in (False, True):
        change = torch.as_tensor(complex_noise(SHAPE, 2)).requires_grad_()
        if is_plain:
            agreed = change
            for _ in range(2):
                agreed = agreed + (residual - gram(agreed) - 2.0 * (agreed - change)) / 2.5
        else:
            agreed = consistent(gram, change, residual, 2.0, 2)
        (agreed.conj() * weights).real.sum().backward()
        slopes.append(change.grad)
    assert relative_error(*slopes) < 1e-5
