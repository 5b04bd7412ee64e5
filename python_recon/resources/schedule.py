"""Deadlines and progress of long work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from python_recon.resources.memory import MemoryLimits

AMPLE_S = 30.0
"""Time left from which on nothing is done in a cheaper way, whatever it takes."""

ProgressReport = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done (0..1)."""


def silent(_stage: str, _done: float) -> None:
    """Report nothing."""


def part_of(report: ProgressReport, index: int, total: int, label: str = "") -> ProgressReport:
    """A report for part ``index`` of ``total`` equal ones, which puts ``label`` before every stage."""

    def inner(stage: str, done: float) -> None:
        # A method may call its only stage by its own name.
        words = dict.fromkeys(word for word in (label, stage) if word)
        report(", ".join(words), (index + min(done, 1.0)) / total)

    return inner


@dataclass
class _End:
    """What the copies of a budget share."""

    is_near: threading.Event = field(default_factory=threading.Event)
    reason: str = ""


@dataclass(frozen=True)
class Budget:
    """What time and memory a method may take, whom it tells how far it is, and what it may start from."""

    seconds: float = float("inf")
    report: ProgressReport = silent
    started: float = field(default_factory=time.monotonic)
    start: Any = None
    """State of a former fit to start from: the neighbouring slice's or the previous repetition's. Made by the
    same method, but perhaps from other coils or another matrix; None: there is none."""
    memory: MemoryLimits = field(default_factory=MemoryLimits)
    """For the slice, prepared k-space included."""
    _end: _End = field(default_factory=_End, repr=False, compare=False)

    def cancel(self, reason: str = "") -> None:
        """Leave no time, as if all were spent: the method ends after its present step.

        May be called from another thread; copies made with ``dataclasses.replace`` are cancelled as well.

        Parameters
        ----------
        reason
            What a reader of the images should know of it.
        """
        if not self._end.is_near.is_set():
            self._end.reason = reason
        self._end.is_near.set()

    @property
    def cancelled_because(self) -> str:
        """Why the time was cut short; empty where it was not, or nobody needs to know."""
        return self._end.reason

    def share(self, part: float) -> Budget:
        """Part of what is left, from now on; cancelled with this one."""
        return replace(self, seconds=part * max(self.left_s, 0.0), started=time.monotonic())

    @property
    def left_s(self) -> float:
        left = self.seconds - (time.monotonic() - self.started)
        return min(left, 0.0) if self._end.is_near.is_set() else left

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
