"""Fitting fields of images: the data term without a NUFFT, joint spatial variation, and the loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from python_recon.errors import BackendError
from python_recon.fields.fit import FitReport
from python_recon.operators.toeplitz import SubspaceGram
from python_recon.schedule import Budget

_LOOKS = 20
"""How often a fit is judged on its way."""
_PATIENCE = 5
"""Judgements without a better one, after which the fit has converged."""
_SMOOTH = 1e-4
"""Gradient, relative to the amplitude of the images, below which their variation is quadratic."""

Backward = Callable[[float], torch.Tensor]
"""The share of the fit that is done to the data term, a scalar; leaves gradients in the parameters."""
Judgement = Callable[[], tuple[float, float]]
"""Error of the field as it is, and the share that it should have."""


@dataclass(frozen=True)
class ComponentData:
    """``|W^1/2 (F S V u - y)|^2 / 2`` of component images u, expanded: ``<u, G u> / 2 - Re <b, u> + c``."""

    gram: SubspaceGram
    right_side: torch.Tensor
    """b, (component, y, x)."""
    energy: torch.Tensor
    """``|W^1/2 y|^2``, a scalar: twice c."""

    def slope(self, components: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient ``G u - b``, and the squared misfit relative to the data: 1 for no image at all."""
        gradient = self.gram(components) - self.right_side
        change = (components.conj() * (gradient - self.right_side)).real.sum()
        return gradient, 1 + change / self.energy


@dataclass(frozen=True)
class Descent:
    """How a field is fitted."""

    stage: str
    """What it is called in reports of progress."""
    steps: int
    rate: Callable[[float], float]
    """Factor of the optimiser's learning rates, by the share that is done."""


def cosine(done: float) -> float:
    """From 1 to 0."""
    return 0.5 + 0.5 * math.cos(math.pi * done)


def joint_variation(components: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
    """``sum_yx sqrt(sum_k |grad u_k|^2)`` of images (component, y, x), smooth where it is 0.

    The components share their edges; see :class:`~python_recon.operators.differences.SpatialVariation`.
    """
    across = torch.diff(components, dim=-1, append=components[..., -1:])
    down = torch.diff(components, dim=-2, append=components[..., -1:, :])
    pairs = torch.view_as_real(across).square() + torch.view_as_real(down).square()
    return (pairs.sum((0, -1)) + (_SMOOTH * amplitude) ** 2).sqrt().sum()


def descend(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    backward: Backward,
    descent: Descent,
    budget: Budget,
    judge: Judgement | None = None,
) -> FitReport:
    """Fit a field; its parameters end as the best that the judge saw, or the last ones without a judge.

    Ends at the last step, at the deadline (after one step at least), or when the judge has seen nothing
    better for a while.

    Raises
    ------
    BackendError
        If the fit diverged before there was a finite field.
    """
    run = _Descent(net, optimiser, backward, descent, budget, judge)
    with torch.enable_grad():
        run.loop()
    return run.finish()


class _Descent:
    """One fit on its way."""

    def __init__(
        self,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        backward: Backward,
        descent: Descent,
        budget: Budget,
        judge: Judgement | None,
    ) -> None:
        self._net, self._optimiser, self._backward = net, optimiser, backward
        self._descent, self._budget, self._judge = descent, budget, judge
        self._rates = [float(group["lr"]) for group in optimiser.param_groups]
        self._started, self._seconds = time.monotonic(), max(budget.left_s, 1e-9)
        self._best: dict[str, torch.Tensor] | None = None
        self._least, self._looks_since = math.inf, 0
        self._report = FitReport()

    def loop(self) -> None:
        steps = self._descent.steps
        every = max(1, steps // _LOOKS)
        for step in range(1, steps + 1):
            done = min(1.0, max((step - 1) / steps, (time.monotonic() - self._started) / self._seconds))
            loss = self._step(done)
            self._report.steps = step
            is_spent = self._budget.is_spent
            if step % every and step < steps and not is_spent:
                continue
            self._look(float(loss), step / steps)
            if is_spent or (step < steps and self._looks_since >= _PATIENCE):
                ended = "convergence" if math.isfinite(loss) else "divergence"
                self._report.stopped = "deadline" if is_spent else ended
                return

    def finish(self) -> FitReport:
        """The best field, and the report."""
        if self._best is None:
            raise BackendError(
                f"the {self._descent.stage} diverged: after {self._report.steps} steps its loss is not "
                "finite; lower options.learning_rate"
            )
        self._net.load_state_dict(self._best)
        return self._report

    def _step(self, done: float) -> torch.Tensor:
        factor = self._descent.rate(done)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = factor * rate
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._backward(done)
        self._optimiser.step()
        return loss

    def _look(self, loss: float, done: float) -> None:
        """Judge the field, keep it if it is the best so far, and tell the user."""
        report = self._report
        report.losses.append(loss)
        error, share, told = loss, 1.0, ""
        if self._judge is not None:
            error, share = self._judge()
            report.held_out.append(error)
            told = f", held-out error {error:.4f}"
        self._looks_since += 1
        if math.isfinite(error) and (self._judge is None or error < self._least):
            self._least, self._best = error, copy.deepcopy(self._net.state_dict())
            report.best_step, report.share, self._looks_since = report.steps, share, 0
        self._budget.report(f"{self._descent.stage}, loss {loss:.3g}{told}", done)
