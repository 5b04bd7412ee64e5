"""The fit of one slice, in a thread, and what it hands over."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

from python_recon.data import SERIES_OF_A_RUN, ImageSeries, KSpace
from python_recon.resources.schedule import Budget


@dataclass(frozen=True)
class Fit:
    """Frames of a slice that are done."""

    series: ImageSeries
    state: Any = None
    """What the fit of the next slice may start from, by the last part of this one's."""


FitSlice = Callable[[Sequence[KSpace], Budget], Iterable[Fit]]
"""Reconstructs the frames of one slice within a budget, in as many parts as they are made in."""


class Work:
    """A fit that waits, is under way, or has ended and was not looked at yet."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.parts: queue.SimpleQueue[Fit | None] = queue.SimpleQueue()
        """What is done and not handed out; None after the last."""
        self.n_taken = 0
        """Images so far."""
        self.has_device = threading.Event()
        """Set from when it holds the device, also after its end."""
        self.ended_s = 0.0
        """By the monotonic clock."""
        self.future: Future[None]

    def begin(self, thread: Executor, run: Callable[[Work], None]) -> None:
        self.future = thread.submit(copy_context().run, run, self)
        self.future.add_done_callback(self._end)

    def cancel(self) -> bool:
        """Whether it had not begun."""
        self.budget.cancel()
        return self.future.cancel()

    def take(self, seconds: float) -> Fit | None:
        """The next part; when none came in that time the fit is told to end, with what it then has."""
        try:
            return self.parts.get(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        except queue.Empty:
            self.budget.cancel()
            return self.parts.get()

    def _end(self, _future: Future[None]) -> None:
        self.ended_s = time.monotonic()
        self.has_device.set()
        self.parts.put(None)


def labelled(series: ImageSeries, kspace: KSpace) -> ImageSeries:
    """The series with everything that travels with the k-space; each run has series of its own."""
    return replace(
        series,
        series_index=series.series_index + SERIES_OF_A_RUN * kspace.run,
        comment="; ".join(filter(None, [series.comment, kspace.comment])),
        geometry=kspace.geometry,
        counters=kspace.counters,
        times_s=kspace.times_s,
        physiology_s=kspace.physiology_s,
        first_frame=kspace.first_frame,
        measurement_id=kspace.measurement_id,
    )
