"""The images nearest to a network's that agree with the data: conjugate gradients inside a network."""

from __future__ import annotations

from typing import Any

import torch

from python_recon.solvers.cg import Operator, conjugate_gradient


class _Agreed(torch.autograd.Function):
    """``x = (G + mu)^-1 (b + mu z)`` and, by implicit differentiation, its derivatives.

    With ``v = (G + mu)^-1 g`` of the gradient g of x, those of b, z and mu are v, ``mu v`` and
    ``Re <v, z - x>``: one more solution, and no iterate is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        right_side: torch.Tensor,
        prior: torch.Tensor,
        mu: torch.Tensor,
        gram: Operator,
        iterations: int,
    ) -> torch.Tensor:
        images = _solve(gram, mu, right_side + mu * prior, iterations, prior)
        ctx.save_for_backward(prior, images, mu)
        ctx.gram, ctx.iterations = gram, iterations
        return images

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        prior, images, mu = ctx.saved_tensors
        slope = _solve(ctx.gram, mu, gradient.resolve_conj(), ctx.iterations)
        of_mu = (slope.conj() * (prior - images)).real.sum()
        return slope, mu * slope, of_mu, None, None


def agreed(
    gram: Operator, right_side: torch.Tensor, prior: torch.Tensor, mu: torch.Tensor, iterations: int
) -> torch.Tensor:
    """Images x that minimise ``|A x - y|^2 / 2 + mu |x - z|^2 / 2``.

    Differentiable with respect to the right side, the prior and mu; the derivatives are those of the exact
    solution, which the iterations have to come near.

    Parameters
    ----------
    gram
        ``G = A^H A``, Hermitian: of frames, of components, Cartesian or not.
    right_side
        ``b = A^H y``, of any shape that ``gram`` takes.
    prior
        z, what a network made of the images.
    mu
        How much it is trusted, a positive real scalar.
    iterations
        Of conjugate gradients, from the prior on; the backward pass takes as many.
    """
    return _Agreed.apply(right_side, prior, mu, gram, iterations)  # type: ignore[no-untyped-call, no-any-return]


def _solve(
    gram: Operator,
    mu: torch.Tensor,
    right_side: torch.Tensor,
    iterations: int,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """One system of all images together: components depend on each other."""

    def normal(images: torch.Tensor) -> torch.Tensor:
        return gram(images[0])[None] + mu * images

    with torch.no_grad():
        first = None if start is None else start[None]
        return conjugate_gradient(normal, right_side[None], iterations, first)[0]
