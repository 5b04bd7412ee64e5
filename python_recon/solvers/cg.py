"""Conjugate gradients for many independent systems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

Operator = Callable[[torch.Tensor], torch.Tensor]


def conjugate_gradient(
    normal_op: Operator,
    right_side: torch.Tensor,
    iterations: int,
    start: torch.Tensor | None = None,
    after_step: Callable[[int], bool] | None = None,
) -> torch.Tensor:
    """Solve ``normal_op(x) = right_side`` for each entry of the first axis (doi:10.6028/jres.049.044).

    Nothing is read back from the device, so that a GPU never waits.

    Parameters
    ----------
    normal_op
        Hermitian positive semi-definite, acts on every entry of the first axis by itself.
    right_side
        (system, ...).
    iterations
        Number of iterations.
    start
        Where to begin; zero by default.
    after_step
        Called with the number of finished iterations; returning True ends the loop.

    Returns
    -------
        (system, ...), the last iterate.
    """
    solution = torch.zeros_like(right_side) if start is None else start.clone()
    residual = right_side.clone() if start is None else right_side - normal_op(start)
    direction, power = residual.clone(), _power(residual)
    for step in range(1, iterations + 1):
        applied = normal_op(direction)
        length = _ratio(power, _inner(direction, applied))
        solution.addcmul_(length, direction)
        residual.addcmul_(length, applied, value=-1)
        new_power = _power(residual)
        direction.mul_(_ratio(new_power, power)).add_(residual)
        power = new_power
        if after_step is not None and after_step(step):
            break
    return solution


def _inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    rows, columns = (torch.view_as_real(each).flatten(1) for each in (a, b))
    product = torch.bmm(rows[:, None], columns[..., None])
    return product.reshape(-1, *[1] * (a.ndim - 1))


def _power(a: torch.Tensor) -> torch.Tensor:
    return _inner(a, a)


def _ratio(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Quotient that is 0 where a system has converged to the last bit."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1e-30), 0)
