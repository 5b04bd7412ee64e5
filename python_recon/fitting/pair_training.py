"""Trains a network on pairs of data; other pairs judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from python_recon.fitting.descent import Descent, FitReport, cosine, descend, numbered
from python_recon.fitting.pairs import Pair
from python_recon.judging.shares import WHOLE, Shares
from python_recon.resources.schedule import Budget

_PATIENCE = 6
"""Judgements without a better one, after which the network has learned what it can."""


def train_on_pairs(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    change: Callable[[Pair], torch.Tensor],
    learned: Sequence[Pair],
    judges: Sequence[Pair],
    described: tuple[str, int],
    budget: Budget,
) -> FitReport:
    """Make the network as good as the judges found it.

    Parameters
    ----------
    change
        Of the components (component, y, x) of a pair's start, by the network.
    learned
        A step each, in turn.
    judges
        The mean of their losses decides which weights are kept.
    described
        Name of the fit, and its most steps.
    """

    def error(pair: Pair, number: int) -> torch.Tensor:
        return pair.loss(change(pair), number)

    def wrong(number: int) -> torch.Tensor:
        return error(learned[number % len(learned)], number // len(learned))

    @torch.no_grad()
    def judge() -> tuple[float, Shares]:
        return float(torch.stack([error(pair, 0) for pair in judges]).mean()), WHOLE

    name, steps = described
    return descend(
        net, optimiser, numbered(optimiser, wrong), Descent(name, steps, cosine, _PATIENCE), budget, judge
    )
