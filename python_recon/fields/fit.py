"""The fit loop: fits a field to samples, stops when it should, and leaves the best field it had."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import nn

from python_recon.errors import BackendError
from python_recon.fields.field import KSpaceField
from python_recon.fields.judge import Judge
from python_recon.fields.samples import Samples
from python_recon.fields.tracking import Track, untracked
from python_recon.losses import hdr
from python_recon.schedule import Budget

_LOOKS = 20
"""How often a fit is judged on its way."""
_PATIENCE = 4
"""Judgements without a better one, after which the fit has converged."""

_log = logging.getLogger(__name__)

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


@dataclass
class FitReport:
    """What became of a fit."""

    stopped: str = "step limit"
    """Why it ended: step limit, convergence or deadline."""
    steps: int = 0
    share: float = 1.0
    """Of the field in the sum with its start."""
    best_step: int = 0
    losses: list[float] = field(default_factory=list)
    """Data term at every judgement."""
    held_out: list[float] = field(default_factory=list)
    """Error of the held-out spokes at every judgement; empty without any."""


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
    run = _Run(net, samples, plan, budget, generator, judge, offset, consistency, forward or net, track)
    with torch.enable_grad():
        run.loop()
    return run.finish()


@dataclass
class _Run:
    """One fit."""

    net: KSpaceField
    samples: Samples
    plan: FitPlan
    budget: Budget
    generator: torch.Generator
    judge: Judge | None
    offset: torch.Tensor | None
    consistency: Consistency | None
    forward: Forward
    track: Track
    report: FitReport = field(default_factory=FitReport)
    best: dict[str, torch.Tensor] | None = None
    least: float = math.inf
    last_better: int = 0

    def __post_init__(self) -> None:
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(
            parameters, lr=self.plan.learning_rate, amsgrad=self.plan.uses_amsgrad
        )
        self.started = time.monotonic()
        self.seconds = self.budget.left_s

    def loop(self) -> None:
        """All steps."""
        plan, every = self.plan, max(1, self.plan.steps // _LOOKS)
        for step in range(plan.steps):
            done = max(step / plan.steps, (time.monotonic() - self.started) / max(self.seconds, 1e-9))
            self._set_rate(done)
            loss = self._step(step)
            self.report.steps = step + 1
            is_spent = self.budget.is_spent
            if (step + 1) % every and not is_spent and step + 1 < plan.steps:
                continue
            self._look(float(loss), done)
            if is_spent or self._has_converged(step):
                self.report.stopped = "deadline" if is_spent else "convergence"
                return

    def finish(self) -> FitReport:
        """The best field, and the report; raises BackendError where there is none."""
        if self.best is None:
            raise BackendError(
                f"the fit diverged: after {self.report.steps} steps its loss is not finite; lower "
                "options.learning_rate"
            )
        self.net.load_state_dict(self.best)
        return self.report

    def _step(self, step: int) -> torch.Tensor:
        """One optimiser step, or two where PISCO has its own; the data term."""
        begins = self.plan.consistency_from * self.plan.steps
        consistency = self.consistency if step >= begins else None
        data = self._data_term()
        if consistency is None:
            self._descend(data)
        elif self.plan.has_own_steps:
            self._descend(data)
            self._descend(self._weighed(consistency))
        else:
            self._descend(data + self._weighed(consistency))
        return data.detach()

    def _weighed(self, consistency: Consistency) -> torch.Tensor:
        with _mixed_precision(self.samples.k.device):
            return self.plan.consistency_weight * consistency(self.net, self.generator)

    def _data_term(self) -> torch.Tensor:
        device = self.samples.k.device
        chosen = torch.randint(
            self.samples.n_points, (self.plan.batch,), generator=self.generator, device=device
        )
        k = self.samples.k[chosen]
        with _mixed_precision(device):
            predicted = self.forward(k, self.samples.t[chosen])
        if self.offset is not None:
            predicted = predicted + self.offset[chosen]
        return hdr(
            predicted,
            self.samples.values[chosen],
            self.plan.epsilon,
            outer_weight=self.plan.outer_weight,
            k=k,
        )

    def _descend(self, loss: torch.Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def _set_rate(self, done: float) -> None:
        if self.plan.anneals:
            rate = self.plan.learning_rate * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
            for group in self.optimiser.param_groups:
                group["lr"] = rate

    def _look(self, loss: float, done: float) -> None:
        """Judge the field, keep it if it is the best so far, and tell the user."""
        report = self.report
        report.losses.append(loss)
        error = loss if _is_finite(self.net) else math.nan  # the loss is that before the step
        if self.judge is not None:
            error, share = self.judge(self.net)
            report.held_out.append(error)
        if math.isfinite(error) and (self.judge is None or error < self.least):
            self.least, self.best = error, copy.deepcopy(self.net.state_dict())
            report.best_step, self.last_better = report.steps, len(report.losses)
            report.share = share if self.judge is not None else 1.0
        figures = {"loss": loss, "share": report.share} | ({"held-out error": error} if self.judge else {})
        self.track(report.steps, figures)
        said = f"fit, loss {loss:.3g}" + (f", held-out error {error:.4f}" if self.judge else "")
        self.budget.report(said, done)

    def _has_converged(self, step: int) -> bool:
        """Whether the judge has seen nothing better for a while, PISCO included."""
        if self.judge is None or step + 1 == self.plan.steps:
            return False
        since = self.last_better
        if self.consistency is not None:
            since = max(since, math.ceil(self.plan.consistency_from * _LOOKS))
        return len(self.report.losses) - since >= _PATIENCE


def _mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 products on a GPU; parameters and everything else stay float32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _is_finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def parameters_of(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
