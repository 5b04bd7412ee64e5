from __future__ import annotations

import torch

from python_recon.operators.linear import apply_linear


def test_backward_is_the_adjoint_at_every_order():
    matrix = torch.randn(5, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))

    def product(x):
        return apply_linear(x, lambda a: matrix @ a, lambda a: matrix.mH @ a)

    x = torch.randn(3, dtype=torch.complex128, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.equal(product(x), matrix @ x)
    assert torch.autograd.gradcheck(product, x)
    assert torch.autograd.gradgradcheck(lambda a: product(a).abs().square(), x)


def test_a_wrong_adjoint_is_seen():
    """The check above can fail: backward uses the function it was given, not one that is derived."""
    matrix = torch.eye(2, dtype=torch.complex128)
    x = torch.ones(2, dtype=torch.complex128, requires_grad=True)
    apply_linear(x, lambda a: matrix @ a, lambda a: 3 * a).real.sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 3.0 + 0j, dtype=torch.complex128))
