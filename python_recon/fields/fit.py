"""Fitting fields of k-space to samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from python_recon.fields.capture import captured
from python_recon.fields.descent import Descent, FitReport, adam, constant, cosine, descend
from python_recon.fields.field import KSpaceField
from python_recon.fields.judge import Judge
from python_recon.fields.samples import Samples
from python_recon.fields.tracking import Track, untracked
from python_recon.losses import hdr
from python_recon.schedule import Budget

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Consistency = Callable[[KSpaceField, torch.Generator], torch.Tensor]


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
    consistency_weight: float
    """Of PISCO relative to the data term."""
    consistency_from: float
    """Share of the steps that the data term has for itself."""
    has_own_steps: bool
    """Whether PISCO's gradient makes optimiser steps of its own (as published) or is added to the data's."""
    uses_amsgrad: bool = False
    is_captured: bool = True
    """Whether steps of the data term alone run as one graph, on CUDA."""


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
    forward: Forward | None = None,
    track: Track = untracked,
) -> FitReport:
    """Fit a field; its parameters end as the best that the judge saw, or the last ones without a judge.

    Minimises the HDR loss of ``forward + offset`` (see :func:`~python_recon.losses.hdr`) and, from a part of
    the steps on, PISCO. Ends at the last step, at the deadline, or when held-out spokes are predicted no
    better any more.

    Parameters
    ----------
    net
        Its trainable parameters are changed.
    samples
        What it is fitted to, on its device.
    offset
        (point, coil) of the samples, added to the field; None: zero.
    forward
        What predicts the samples, where it is not the field itself.
    track
        Is told the figures of every judgement.

    Raises
    ------
    BackendError
        If the fit diverged before there was a finite field.
    """
    steps = _Steps(net, samples, plan, generator, offset, consistency, forward or net)
    descent = Descent(
        "fit",
        plan.steps,
        cosine if plan.anneals else constant,
        settles_from=plan.consistency_from if consistency is not None else 0.0,
    )
    judgement = None if judge is None else partial(judge, net)
    return descend(net, steps.optimiser, steps, descent, budget, judgement, track)


@dataclass
class _Steps:
    """The steps of one fit."""

    net: KSpaceField
    samples: Samples
    plan: FitPlan
    generator: torch.Generator
    offset: torch.Tensor | None
    consistency: Consistency | None
    forward: Forward

    def __post_init__(self) -> None:
        device = self.samples.k.device
        trained = [p for p in self.net.parameters() if p.requires_grad]
        self.optimiser = adam(trained, self.plan.learning_rate, device, amsgrad=self.plan.uses_amsgrad)
        self.chosen = torch.zeros(self.plan.batch, dtype=torch.int64, device=device)
        data_step = partial(self._descend, self._data_term)
        self.data_step = captured(data_step, device) if self.plan.is_captured else data_step

    def __call__(self, number: int, _done: float) -> torch.Tensor:
        """One optimiser step, or two where PISCO has its own; the data term."""
        torch.randint(self.samples.n_points, self.chosen.shape, generator=self.generator, out=self.chosen)
        begins = self.plan.consistency_from * self.plan.steps
        consistency = self.consistency if number >= begins else None
        if consistency is None:
            return self.data_step()
        if self.plan.has_own_steps:
            data = self.data_step()
            self._descend(partial(self._weighed, consistency))
            return data
        data = self._data_term()
        self._descend(lambda: data + self._weighed(consistency))
        return data.detach()

    def _weighed(self, consistency: Consistency) -> torch.Tensor:
        with _mixed_precision(self.samples.k.device):
            return self.plan.consistency_weight * consistency(self.net, self.generator)

    def _data_term(self) -> torch.Tensor:
        """Of the chosen samples."""
        k = self.samples.k[self.chosen]
        with _mixed_precision(k.device):
            predicted = self.forward(k, self.samples.t[self.chosen])
        if self.offset is not None:
            predicted = predicted + self.offset[self.chosen]
        return hdr(
            predicted,
            self.samples.values[self.chosen],
            self.plan.epsilon,
            outer_weight=self.plan.outer_weight,
            k=k,
        )

    def _descend(self, loss_of: Callable[[], torch.Tensor]) -> torch.Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()


def _mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 products on a GPU; parameters and everything else stay float32."""
    if device.type != "cuda":
        return nullcontext()
    # Without its cache, whose copies of the weights would outlive a step that is replayed as a graph.
    return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)


def parameters_of(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
