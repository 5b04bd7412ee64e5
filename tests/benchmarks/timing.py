"""Contenders in turn: warm-up, then rounds in shuffled order, medians and paired ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from python_recon.usage import measure

LEAST_ROUNDS, MOST_ROUNDS = 3, 15


@dataclass
class Contender:
    """Somebody who can do the work."""

    name: str
    work: Callable[[], Any] = lambda: None
    own_seconds: float | None = field(default=None, init=False)
    """What the contender itself reports of its last run, if it does."""

    def first(self) -> tuple[Any, float]:
        """Warm up; the result, and the peak of the memory in MiB."""
        result, usage = measure(self.work)
        return result, usage.peak_memory_mb

    def seconds(self) -> float:
        """Work once more, and tell how long it took."""
        started = time.perf_counter()
        self.work()
        return time.perf_counter() - started


@dataclass
class Entry:
    """What came of a contender."""

    name: str
    errors: dict[str, float]
    memory_mb: float
    seconds: list[float] = field(default_factory=list)
    own_seconds: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        return median(self.seconds)

    def ratio_to(self, other: Entry) -> float:
        """Median over the rounds of this time over the other's."""
        return median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


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
        About how long the rounds may take: the fewer they are, down to 3, the slower the contenders.
    """
    entries = []
    for contender in contenders:
        result, memory_mb = contender.first()
        entries.append(Entry(contender.name, judge(result), memory_mb))
    generator = np.random.default_rng(0)
    rounds, done, started = MOST_ROUNDS, 0, time.perf_counter()
    while done < rounds:
        for index in generator.permutation(len(contenders)):
            entries[index].seconds.append(contenders[index].seconds())
            if contenders[index].own_seconds is not None:
                entries[index].own_seconds.append(contenders[index].own_seconds)
        done += 1
        round_s = (time.perf_counter() - started) / done
        rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(limit_s / round_s)))
    return entries
