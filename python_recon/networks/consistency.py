"""Data consistency behind a network, in a form whose gradient costs as many FFTs as itself."""

from __future__ import annotations

from typing import Any

import torch

from python_recon.solvers.cg import Operator


class _Hermitian(torch.autograd.Function):
    """An operator that is its own adjoint, and so its own backward pass: nothing of its inside is kept."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, operator: Operator) -> torch.Tensor:
        ctx.operator = operator
        return operator(images)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return ctx.operator(gradient), None


def hermitian(operator: Operator, images: torch.Tensor) -> torch.Tensor:
    """What an operator that is its own adjoint makes of images, differentiable."""
    return _Hermitian.apply(images, operator)  # type: ignore[no-untyped-call, no-any-return]


def consistent(
    gram: Operator, change: torch.Tensor, residual: torch.Tensor, mu: float | torch.Tensor, steps: int
) -> torch.Tensor:
    """A change of images that was made to agree with the data.

    Minimises ``|A (x + d) - y|^2 / 2 + mu |d - c|^2 / 2`` over the change d, from that of the network, c,
    with ``residual = A^H (y - A x)``. The eigenvalues of ``A^H A`` lie between 0 and about 1, so that
    gradient steps of length ``1 / (mu + 1/2)`` leave at most a share ``(1 + 2 mu)^-steps`` of what is to be
    mended. They are the same linear map for all data, where those of conjugate gradients depend on them.

    Parameters
    ----------
    gram
        ``A^H A``.
    change
        c, of any shape that ``gram`` takes.
    residual
        Of the images that are changed.
    mu
        How much the network is trusted.
    steps
        Of the gradient; each costs one ``gram``, and one more in the backward pass.
    """
    agreed = change
    for _ in range(steps):
        slope = residual - hermitian(gram, agreed)
        agreed = agreed + (slope - mu * (agreed - change)) / (mu + 0.5)
    return agreed
