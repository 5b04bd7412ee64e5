"""Accelerated proximal gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch

from python_recon.solvers.cg import Operator

Proximal = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Proximal map: argument and step length to the minimiser."""


def accelerated_proximal_gradient(
    normal_op: Operator,
    right_side: torch.Tensor,
    proximal: Proximal,
    start: torch.Tensor,
    step: torch.Tensor,
    iterations: int,
    after_step: Callable[[int], bool] | None = None,
) -> torch.Tensor:
    """Minimise ``|A x - y|^2 / 2 + R(x)`` (FISTA, doi:10.1137/080716542).

    Momentum restarts where it points uphill (doi:10.1007/s10208-013-9150-3). Nothing is read back from
    the device, so that a GPU never waits.

    Parameters
    ----------
    normal_op
        ``A^H A``.
    right_side
        ``A^H y``.
    proximal
        Proximal map of ``step * R``.
    start
        First iterate.
    step
        Step length: at most the reciprocal of the largest eigenvalue of ``normal_op``.
    iterations
        Gradient steps, one normal operator each.
    after_step
        Called with the number of finished steps; returning True ends the loop.
    """
    solution, ahead = start, start
    momentum = torch.ones((), device=start.device)
    for count in range(1, iterations + 1):
        following = proximal(ahead - step * (normal_op(ahead) - right_side), step)
        moved = following - solution
        momentum = torch.where(_real_inner(ahead - following, moved) > 0, 1.0, momentum)
        next_momentum = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        ahead = following + (momentum - 1) / next_momentum * moved
        solution, momentum = following, next_momentum
        if after_step is not None and after_step(count):
            break
    return solution


def _real_inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (torch.view_as_real(a) * torch.view_as_real(b)).sum()
