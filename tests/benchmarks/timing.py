"""Contenders in turn: warm-up, then rounds in shuffled order, medians and paired ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from python_recon.resources.usage import measure

LEAST_ROUNDS, MOST_ROUNDS = 3, 15


@dataclass(frozen=True)
class Duration:
    """Of one run, seconds."""

    wall: float
    cpu: float
    """Of all threads together: says more than the wall clock where the machine is shared."""
    own: float | None = None
    """What a command reports of itself, reading and writing left out."""


@dataclass
class Contender:
    """Somebody who can do the work in this process."""

    name: str
    work: Callable[[], Any] = lambda: None

    def first(self) -> tuple[Any, float]:
        """Warm up; the result, and the peak of the memory in MiB."""
        result, usage = measure(self.work)
        return result, usage.peak_memory_mb

    def again(self) -> Duration:
        """Work once more, and tell how long it took."""
        started, cpu_started = time.perf_counter(), time.process_time()
        self.work()
        return Duration(time.perf_counter() - started, time.process_time() - cpu_started)


@dataclass
class Entry:
    """What came of a contender."""

    name: str
    errors: dict[str, float]
    memory_mb: float
    durations: list[Duration] = field(default_factory=list)

    @property
    def walls(self) -> list[float]:
        return [duration.wall for duration in self.durations]

    @property
    def owns(self) -> list[float]:
        return [duration.own for duration in self.durations if duration.own is not None]

    @property
    def wall_s(self) -> float:
        """Median."""
        return median(self.walls)

    @property
    def cpu_s(self) -> float:
        """Median."""
        return median(duration.cpu for duration in self.durations)

    def ratio_to(self, other: Entry) -> float:
        """Median over the rounds of this time over the other's."""
        return median(a / b for a, b in zip(self.walls, other.walls, strict=True))


Judge = Callable[[Any], dict[str, float]]
"""Errors by name of a contender's result."""


def race(contenders: Sequence[Contender], judge: Judge, limit_s: float) -> list[Entry]:
    """Let everybody work in turn.

    Parameters
    ----------
    contenders
        We come first.
    judge
        Sees the result of the warm-up.
    limit_s
        About how long the rounds may take: slow contenders have fewer of them, but 3; at 0 there is one.
    """
    entries = []
    for contender in contenders:
        result, memory_mb = contender.first()
        entries.append(Entry(contender.name, judge(result), memory_mb))
    generator = np.random.default_rng(0)
    least = LEAST_ROUNDS if limit_s else 1
    rounds, done, started = MOST_ROUNDS, 0, time.perf_counter()
    while done < rounds:
        for index in generator.permutation(len(contenders)):
            entries[index].durations.append(contenders[index].again())
        done += 1
        round_s = (time.perf_counter() - started) / done
        rounds = min(MOST_ROUNDS, max(least, int(limit_s / round_s)))
    return entries
