"""How much of a field is added to its start."""

from __future__ import annotations

from typing import TypeAlias

import torch

Shares: TypeAlias = tuple[float, ...]
"""Between 0 and 1: one of a whole field, or one of each of its components."""
WHOLE: Shares = (1.0,)

_TRUST = 0.3
"""Weight of the common share beside the samples: they are few, and tell the shares of faint parts badly."""
_SWEEPS = 100
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
    """Where ``s G s / 2 - r s`` is least for s within 0..1: descended along one axis after the other."""
    shares = torch.zeros_like(right)
    energy = gram.diagonal().clamp_min(_NOTHING)
    for _ in range(_SWEEPS):
        for each in range(len(shares)):
            change = (right[each] - gram[each] @ shares) / energy[each]
            shares[each] = (shares[each] + change).clamp(0, 1)
    return shares
