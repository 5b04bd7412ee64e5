"""Linear operators inside Torch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Linear = Callable[[torch.Tensor], torch.Tensor]


class _Linear(torch.autograd.Function):
    """A linear map whose backward is its adjoint, itself differentiable."""

    @staticmethod
    def forward(ctx: Any, array: torch.Tensor, function: Linear, adjoint: Linear) -> torch.Tensor:
        ctx.function, ctx.adjoint = function, adjoint
        return function(array)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return apply_linear(gradients[0], ctx.adjoint, ctx.function), None, None


def apply_linear(array: torch.Tensor, function: Linear, adjoint: Linear) -> torch.Tensor:
    """``function(array)`` with ``adjoint`` as its backward."""
    return _Linear.apply(array, function, adjoint)  # type: ignore[no-untyped-call, no-any-return]
