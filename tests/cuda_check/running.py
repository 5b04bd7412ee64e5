"""Checks one after the other, whatever becomes of them, within a time."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

_GRACE_S = 20.0
"""That a check may take to notice that its time is over, before the process is ended."""
_LEAST_S = 0.5


class LeftOutError(Exception):
    """A check cannot be made here, and why."""


class Overtime(BaseException):
    """The time of a check is over; nothing in between is to take it for an error of its own."""


@dataclass(frozen=True)
class Check:
    """One thing to find out."""

    part: str
    name: str
    work: Callable[[], dict[str, Any]]
    """Raises what is wrong; else it tells its figures."""
    seconds: float = 60.0
    """It may take."""


@dataclass
class Outcome:
    """What became of it."""

    part: str
    name: str
    status: str
    """passed, failed or left out."""
    seconds: float = 0.0
    told: str = ""
    """Why it failed or was left out."""
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {_short(value)}" for name, value in self.figures.items())
        told = self.told.strip().splitlines()[-1] if self.told else figures
        return f"{self.status:8} {self.seconds:6.1f} s  {self.part}: {self.name}: {told}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def run_all(checks: list[Check], total_s: float, at_each: Callable[[list[Outcome]], None]) -> list[Outcome]:
    """All outcomes; ``at_each`` is told those so far, also before the process is ended for want of time."""
    outcomes: list[Outcome] = []
    end = time.monotonic() + total_s
    for check in checks:
        left = end - time.monotonic()
        if left < _LEAST_S:
            outcomes.append(Outcome(check.part, check.name, "left out", told="no time was left"))
        else:
            with _last_resort(min(check.seconds, left) + _GRACE_S, check, outcomes, at_each):
                outcomes.append(run_one(check, min(check.seconds, left)))
        at_each(outcomes)
    return outcomes


def run_one(check: Check, seconds: float) -> Outcome:
    """A check, ended when its time is over."""
    outcome, started = Outcome(check.part, check.name, "passed"), time.monotonic()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            with _alarm(seconds):
                outcome.figures = check.work()
        except LeftOutError as reason:
            outcome.status, outcome.told = "left out", str(reason)
        except Overtime:
            outcome.status, outcome.told = "failed", f"not done after {seconds:.0f} s"
        except Exception:
            outcome.status, outcome.told = "failed", traceback.format_exc()
    outcome.seconds = time.monotonic() - started
    outcome.warnings = sorted({f"{each.category.__name__}: {each.message}" for each in heard})
    return outcome


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Overtime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _last_resort(
    seconds: float, check: Check, outcomes: list[Outcome], at_each: Callable[[list[Outcome]], None]
) -> Iterator[None]:
    """End the process where a check waits for a device that never answers; what was found is kept."""

    def end() -> None:
        hung = Outcome(check.part, check.name, "failed", seconds, "it hung: the process was ended")
        at_each([*outcomes, hung])
        os._exit(3)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def as_json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """For a file."""
    return [asdict(outcome) for outcome in outcomes]
