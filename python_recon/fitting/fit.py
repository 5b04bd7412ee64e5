"""Fitting fields of k-space to samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from python_recon.fields.field import KSpaceField
from python_recon.fitting.capture import Step, captured
from python_recon.fitting.consistency import Consistency
from python_recon.fitting.descent import (
    Descent,
    FitReport,
    adam,
    constant,
    cosine,
    descend,
    follow_rates,
    gradient_step,
    with_gradients,
)
from python_recon.fitting.precision import mixed_precision
from python_recon.fitting.tracking import Track, untracked
from python_recon.judging.judge import Judge
from python_recon.judging.samples import Samples
from python_recon.judging.weight_trials import FixedWeight, WeightTrials
from python_recon.losses import hdr
from python_recon.resources.schedule import Budget

_SETTLES_FROM = 0.6
"""Share of a fit with PISCO before which it cannot have converged: held-out errors rise at first, where PISCO
begins, and what it gains comes late."""


@dataclass(frozen=True)
class FitPlan:
    """How a field is fitted."""

    steps: int
    batch: int
    """Samples, of all coils, to a step."""
    learning_rate: float
    anneals: bool
    """Whether the learning rate falls to zero along a cosine by the last step or the deadline."""
    epsilon: float
    """Of the HDR loss."""
    outer_weight: float
    """f of the HDR loss."""
    consistency_weight: float = 0.0
    """Of PISCO relative to the data term, where it is not chosen on the way."""
    consistency_from: float = 0.0
    """Share of the steps, at the beginning, that are made without PISCO."""
    has_own_steps: bool = False
    """Whether PISCO has steps, and an optimiser, of its own (as published) or is added to the data term."""
    uses_amsgrad: bool = False
    is_captured: bool = True
    """Whether steps run as CUDA graphs."""


def fit(
    net: KSpaceField,
    samples: Samples,
    plan: FitPlan,
    budget: Budget,
    generator: torch.Generator,
    *,
    judge: Judge | None = None,
    offset: torch.Tensor | None = None,
    consistency: Consistency | None = None,
    choose_weight: Callable[[], float] | None = None,
    track: Track = untracked,
) -> FitReport:
    """Fit a field; its parameters end as the best that the judge saw, or the last ones without a judge.

    Minimises the HDR loss of ``net + offset`` (see :func:`~python_recon.losses.hdr`) and, from a part of
    the fit on, PISCO. Ends at the last step, at the deadline, or when held-out spokes are predicted no
    better any more.

    Parameters
    ----------
    net
        Its trainable parameters are changed.
    samples
        What it is fitted to, on its device.
    offset
        (point, coil) of the samples, added to the field; None: zero.
    choose_weight
        Error of the field as it is, by which the weight of PISCO is chosen (see
        :mod:`~python_recon.judging.weight_trials`); None: it is that of the plan.
    track
        Is told the figures of every judgement.

    Raises
    ------
    BackendError
        If the fit diverged before there was a finite field.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    make = partial(adam, trained, plan.learning_rate, samples.k.device, amsgrad=plan.uses_amsgrad)
    optimiser = make()
    for_consistency = make() if consistency and plan.has_own_steps else optimiser
    weight: FixedWeight | WeightTrials = FixedWeight(
        plan.consistency_weight, plan.consistency_from if consistency else 0.0, plan.steps
    )
    if consistency and choose_weight:
        optimisers = list(dict.fromkeys([optimiser, for_consistency]))
        weight = WeightTrials(plan.consistency_from, plan.steps, optimisers, generator, choose_weight)
    rate = cosine if plan.anneals else constant
    settles_from = max(weight.settles_from, _SETTLES_FROM) if consistency else 0.0
    descent = Descent(
        "fit", weight.steps, lambda done: rate(weight.on_the_way(done)), settles_from=settles_from
    )
    steps = _Steps(
        net,
        samples,
        plan,
        optimiser,
        for_consistency,
        generator,
        offset,
        consistency,
        weight,
    )
    judgement = None if judge is None else partial(judge, net)
    report = descend(net, optimiser, steps, descent, budget, judgement, track)
    if (chosen := weight.chosen(report.best_step)) is not None:
        report.chosen["consistency_weight"] = chosen
    return report


@dataclass
class _Steps:
    """The steps of one fit."""

    net: KSpaceField
    samples: Samples
    plan: FitPlan
    optimiser: torch.optim.Optimizer
    for_consistency: torch.optim.Optimizer
    """The same one, unless the consistency has steps of its own."""
    generator: torch.Generator
    offset: torch.Tensor | None
    consistency: Consistency | None
    weight: Callable[[float], float]
    """Of the consistency, by the share of the fit that is done."""

    def __post_init__(self) -> None:
        device = self.samples.k.device
        self.chosen = torch.zeros(self.plan.batch, dtype=torch.int64, device=device)
        self.weighing = torch.zeros((), device=device)
        self.data_step = self._step(self.optimiser, self._data_term)
        self.turns = [] if self.consistency is None else self._turns_of(self.consistency)

    def __call__(self, _number: int, done: float) -> torch.Tensor:
        """One optimiser step, or two where PISCO has its own; the data term."""
        weight = self.weight(done)
        torch.randint(self.samples.n_points, self.chosen.shape, generator=self.generator, out=self.chosen)
        if self.consistency is None or weight == 0:
            return self.data_step()
        self.consistency.draw(self.generator)
        self.weighing.fill_(weight)
        step = self.turns[self.consistency.turn]
        if not self.plan.has_own_steps:
            return step()
        data = self.data_step()
        follow_rates(self.for_consistency, self.optimiser)
        step()
        return data

    def _step(self, optimiser: torch.optim.Optimizer, *terms: Callable[[], torch.Tensor]) -> Step:
        """Along the gradient of the sum of terms, of which it gives the first."""
        step = gradient_step(optimiser, partial(with_gradients, terms))
        if not self.plan.is_captured:
            return step
        return captured(step, optimiser, self.samples.k.device, self.plan.steps)

    def _turns_of(self, consistency: Consistency) -> list[Step]:
        """Steps with PISCO, one for each of its turns."""
        weighed = partial(self._weighed, consistency)
        terms = [weighed] if self.plan.has_own_steps else [self._data_term, weighed]
        return [self._step(self.for_consistency, *terms) for _ in range(consistency.n_turns)]

    def _weighed(self, consistency: Consistency) -> torch.Tensor:
        with mixed_precision(self.samples.k.device):
            return self.weighing * consistency(self.net)

    def _data_term(self) -> torch.Tensor:
        """Of the chosen samples."""
        k = self.samples.k[self.chosen]
        with mixed_precision(k.device):
            predicted = self.net(k, self.samples.t[self.chosen])
        if self.offset is not None:
            predicted = predicted + self.offset[self.chosen]
        return hdr(
            predicted,
            self.samples.values[self.chosen],
            self.plan.epsilon,
            outer_weight=self.plan.outer_weight,
            k=k,
        )
