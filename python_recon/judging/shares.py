"""How much of a field is added to its start."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch

Shares: TypeAlias = tuple[float, ...]
"""Between 0 and 1: one of a whole field, or one of each of its components."""
WHOLE: Shares = (1.0,)

_TRUST = 0.3
"""Weight of the common share beside the samples: they are few, and tell the shares of faint parts badly."""
_MOST_ROUNDS = 10
"""Of a share that is let go, before its solution is taken as it is."""
_NOTHING = 1e-30


def best_shares(parts: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The shares by which parts of a signal add up to a wanted one best.

    They minimise the weighted squared error plus 0.3 times the squared error that each part alone makes by
    departing from the share that is best for all together.

    Parameters
    ----------
    parts
        (component, point, coil).
    wanted
        (point, coil).
    weights
        Of the squared errors, (point, 1).

    Returns
    -------
        (component,) float64 on the CPU; not finite where the signals are not.
    """
    weighted = (weights * parts).conj()
    gram = torch.einsum("apc,bpc->ab", weighted, parts).real.double().cpu()
    right = torch.einsum("apc,pc->a", weighted, wanted).real.double().cpu()
    common = (right.sum() / gram.sum().clamp_min(_NOTHING)).clamp(0, 1)
    trust = _TRUST * gram.diagonal()
    return _least_within_unit(gram + trust.diag(), right + trust * common)


def _least_within_unit(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Where ``s G s / 2 - r s`` is least for s within 0..1, to rounding.

    Shares at a bound are held there, and the others solved for together; the one whose slope points inwards
    the most is let go, until there is none (Stark and Parker, bounded-variable least squares, 1995).
    """
    matrix, wanted = gram.numpy(), right.numpy()
    if not (np.isfinite(matrix).all() and np.isfinite(wanted).all()):
        return torch.full_like(right, torch.nan)
    shares, is_free = np.zeros(len(wanted)), np.zeros(len(wanted), dtype=bool)
    has_energy, rounding = matrix.diagonal() > _NOTHING, 1e-12 * np.abs(wanted).max(initial=0)
    for _ in range(_MOST_ROUNDS * len(wanted)):
        slope = matrix @ shares - wanted
        inwards = np.where(shares > 0, slope, -slope) * (has_energy & ~is_free)
        if inwards.max() <= rounding:
            break
        is_free[inwards.argmax()] = True
        _solve_free(matrix, wanted, shares, is_free)
    return torch.from_numpy(shares)


def _solve_free(matrix: np.ndarray, wanted: np.ndarray, shares: np.ndarray, is_free: np.ndarray) -> None:
    """Take the free shares to their optimum; those that meet a bound on the way stay there."""
    while is_free.any():
        held = matrix[np.ix_(is_free, ~is_free)] @ shares[~is_free]
        change = np.linalg.solve(matrix[np.ix_(is_free, is_free)], wanted[is_free] - held) - shares[is_free]
        bound = (change > 0).astype(float)
        room = np.divide(bound - shares[is_free], change, out=np.full(len(change), np.inf), where=change != 0)
        step = min(1.0, room.min())
        shares[is_free] = np.clip(shares[is_free] + step * change, 0, 1)
        if step == 1:
            return
        reached = np.flatnonzero(is_free)[room <= step]
        shares[reached] = bound[room <= step]
        is_free[reached] = False
