"""Deadlines and progress of long work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

ProgressReport = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done (0..1)."""


def silent(_stage: str, _done: float) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Budget:
    """How long a method may take, and whom it tells how far it is."""

    seconds: float = float("inf")
    report: ProgressReport = silent
    started: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return self.seconds - (time.monotonic() - self.started)

    @property
    def is_spent(self) -> bool:
        return self.left_s <= 0


@dataclass
class Steps:
    """Counts the steps of an iteration, reports them, and ends it when the budget is spent."""

    budget: Budget
    stage: str
    planned: int
    done: int = 0

    def is_last(self, done: int) -> bool:
        """To be called after every step with the number of finished ones."""
        self.done = done
        self.budget.report(self.stage, done / self.planned)
        return self.budget.is_spent
