"""The anytime loop of all fits: it stops when it should, and leaves the best field it had."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

import torch

# Optimisers load it at their first use, which takes seconds: here it is loaded before the data are there.
import torch._dynamo
from torch import nn

from python_recon.errors import BackendError
from python_recon.fitting.capture import Step
from python_recon.fitting.tracking import Track, untracked
from python_recon.judging.shares import WHOLE, Shares
from python_recon.resources.schedule import Budget

LOOKS = 20
"""How often a fit is judged on its way."""

_TOLD_EVERY_S = 2.0
"""How often the user hears of the steps."""

_GOES_ON = 5e-4
"""By this share an error is to be smaller, for a fit to count as going on: less changes no image."""

TakeStep = Callable[[int, float], torch.Tensor]
"""Takes a step of the optimiser, given its number from 0 and the share of the fit that is done; gives the
loss before it, a scalar."""
Backward = Callable[[float], torch.Tensor]
"""The share of the fit that is done to the loss, a scalar; leaves gradients in the parameters."""
Judgement = Callable[[], tuple[float, Shares]]
"""Error of the field as it is, and the shares that it should have."""


@dataclass(frozen=True)
class Descent:
    """How long a field is fitted, and at which rate."""

    stage: str
    """What it is called in reports of progress."""
    steps: int
    rate: Callable[[float], float]
    """Factor of the optimiser's learning rates, by the share that is done."""
    patience: int = 4
    """Judgements without a clearly better one, after which the fit has converged."""
    settles_from: float = 0.0
    """Share of the steps before which it cannot have converged."""
    looks: int = LOOKS
    """How often it is judged on its way."""


@dataclass
class FitReport:
    """What became of a fit."""

    stopped: str = "step limit"
    """Why it ended: step limit, convergence, divergence or deadline."""
    steps: int = 0
    shares: Shares = WHOLE
    """Of the field in the sum with its start."""
    best_step: int = 0
    chosen: dict[str, float] = field(default_factory=dict)
    """What held-out spokes chose, by its name."""
    losses: list[float] = field(default_factory=list)
    """Data term at every judgement."""
    judged_at: list[int] = field(default_factory=list)
    """Steps done at every judgement."""
    held_out: list[float] = field(default_factory=list)
    """Error of the held-out spokes at every judgement; empty without any."""


def cosine(done: float) -> float:
    """From 1 to 0."""
    return 0.5 + 0.5 * math.cos(math.pi * done)


def constant(_done: float) -> float:
    """1."""
    return 1.0


def adam(parameters: Iterable[Any], rate: float, device: torch.device, **options: Any) -> torch.optim.Adam:
    """Adam over parameters or groups of them; on CUDA in the form that a graph can capture.

    Fused, it keeps its state and reads its rate on the device. It is ``capturable`` only within a capture
    (see :mod:`~python_recon.fitting.capture`): Torch warns of such optimisers where they step uncaptured.
    """
    if device.type != "cuda":
        return torch.optim.Adam(parameters, rate, **options)
    return torch.optim.Adam(parameters, torch.tensor(rate, device=device), fused=True, **options)


def gradient_step(optimiser: torch.optim.Optimizer, backward: Callable[[], torch.Tensor]) -> Step:
    """A step along the gradients that ``backward`` leaves in the parameters; it gives the loss, a scalar."""

    def step() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = backward()
        optimiser.step()
        return loss

    return step


def with_gradients(terms: Sequence[Callable[[], torch.Tensor]]) -> torch.Tensor:
    """The first of the terms of a loss, whose gradients it leaves in the parameters."""
    values = [term() for term in terms]
    sum(values).backward()  # type: ignore[union-attr]
    return values[0].detach()


def numbered(optimiser: torch.optim.Optimizer, loss_of: Callable[[int], torch.Tensor]) -> TakeStep:
    """Steps along the gradient of a loss that depends on their number."""
    return lambda number, _done: gradient_step(
        optimiser, partial(with_gradients, [partial(loss_of, number)])
    )()


def stepping(optimiser: torch.optim.Optimizer, backward: Backward) -> TakeStep:
    """Such steps, where the share of the fit that is done matters."""
    return lambda _number, done: gradient_step(optimiser, partial(backward, done))()


def set_rate(group: dict[str, Any], rate: float) -> None:
    """The learning rate of a group of an optimiser's parameters, in the memory that a captured step reads."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def follow_rates(optimiser: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    """Give an optimiser the learning rates of another one of the same groups."""
    for own, group in zip(optimiser.param_groups, other.param_groups, strict=True):
        if isinstance(own["lr"], torch.Tensor):
            own["lr"].copy_(group["lr"])
        else:
            own["lr"] = group["lr"]


def descend(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: TakeStep,
    descent: Descent,
    budget: Budget,
    judge: Judgement | None = None,
    track: Track = untracked,
) -> FitReport:
    """Fit a field; its parameters end as the best that the judge saw, or the last ones without a judge.

    Ends at the last step, at the deadline (after one step at least), or when nothing better was seen for a
    while: with a judge that is convergence, without one a loss that is not finite any more.

    Parameters
    ----------
    net
        Its parameters are changed.
    optimiser
        Of these parameters; its learning rates are set before every step.
    track
        Is told the figures of every judgement.

    Raises
    ------
    BackendError
        If the fit diverged before there was a finite field.
    """
    run = _Descent(net, optimiser, step, descent, budget, judge, track)
    with torch.enable_grad():
        run.loop()
    return run.finish()


@dataclass
class _Descent:
    """One fit on its way."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    step: TakeStep
    descent: Descent
    budget: Budget
    judge: Judgement | None
    track: Track
    report: FitReport = field(default_factory=FitReport)
    best: dict[str, torch.Tensor] | None = None
    figures: str = ""
    """Of the last judgement, in words."""
    least: float = math.inf
    mark: float = math.inf
    """The least error when it last was clearly smaller than before, and at which judgement that was."""
    last_better: int = 0

    def __post_init__(self) -> None:
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.started, self.seconds = time.monotonic(), max(self.budget.left_s, 1e-9)
        self.told_s = self.started

    def loop(self) -> None:
        """All steps."""
        steps, report = self.descent.steps, self.report
        every = max(1, steps // self.descent.looks)
        for number in range(steps):
            done = min(1.0, max(number / steps, (time.monotonic() - self.started) / self.seconds))
            self._set_rates(self.descent.rate(done))
            loss = self.step(number, done)
            report.steps = number + 1
            is_spent = self.budget.is_spent
            if report.steps % every and report.steps < steps and not is_spent:
                self._show_life(done)
                continue
            self._look(float(loss), max(done, report.steps / steps))
            if is_spent or (report.steps < steps and self._has_settled()):
                ended = "convergence" if math.isfinite(report.losses[-1]) else "divergence"
                report.stopped = "deadline" if is_spent else ended
                return

    def finish(self) -> FitReport:
        """The best field, and the report; raises BackendError where there is none."""
        if self.best is None:
            raise BackendError(
                f"the {self.descent.stage} diverged: after {self.report.steps} steps its loss is not "
                "finite; lower options.learning_rate"
            )
        self.net.load_state_dict(self.best)
        return self.report

    def _set_rates(self, factor: float) -> None:
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            set_rate(group, factor * rate)

    def _look(self, loss: float, done: float) -> None:
        """Judge the field, keep it if it is the best so far, and tell the user."""
        report = self.report
        report.losses.append(loss)
        report.judged_at.append(report.steps)
        error, shares = loss if _is_finite(self.net) else math.nan, WHOLE  # the loss is that before the step
        if self.judge is not None:
            error, shares = self.judge()
            report.held_out.append(error)
        if math.isfinite(error) and (self.judge is None or error < self.least):
            self.least, self.best = error, copy.deepcopy(self.net.state_dict())
            report.best_step, report.shares = report.steps, shares
            if self.judge is None or error < (1 - _GOES_ON) * self.mark:
                self.mark, self.last_better = error, len(report.losses)
        figures = {"loss": loss, "share": fmean(report.shares)}
        if self.judge is not None:
            figures["held-out error"] = error
        self.track(report.steps, figures)
        told = f", held-out error {error:.4f}" if self.judge else ""
        self.figures = f", loss {loss:.3g}{told}"
        self._tell(done)

    def _tell(self, done: float) -> None:
        step = f"step {self.report.steps} of {self.descent.steps}"
        self.budget.report(f"{self.descent.stage}, {step}{self.figures}", done)
        self.told_s = time.monotonic()

    def _show_life(self, done: float) -> None:
        """Tell the step between two judgements, where these are far apart."""
        if time.monotonic() - self.told_s >= _TOLD_EVERY_S:
            self._tell(done)

    def _has_settled(self) -> bool:
        """Whether nothing better has been seen for a while, early stages of the fit not counted."""
        since = max(self.last_better, math.ceil(self.descent.settles_from * self.descent.looks))
        return len(self.report.losses) - since >= self.descent.patience


def _is_finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())
