"""Slices fitted one after the other, the first of them while others are still being received.

A slice is taken to be complete when frames of another one begin. Its fit then runs in a thread, without a
deadline, and its series is handed out when it is done. Should more frames of it come after all (slices are
interleaved, or its last frame was not full), the fit is given up, and what has not begun waits for the end
of the scan.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NamedTuple

from python_recon.data import ImageSeries, KSpace
from python_recon.errors import BackendError, ReconError
from python_recon.schedule import Budget, ProgressReport, silent

_FEWEST_FRAMES = 2
"""Of a slice that is fitted before the end of the scan."""

_log = logging.getLogger(__name__)


class SliceKey(NamedTuple):
    """What is reconstructed together."""

    slice: int
    contrast: int
    set: int
    run: int

    @classmethod
    def of(cls, frame: KSpace) -> SliceKey:
        counters = frame.counters
        return cls(counters.slice, counters.contrast, counters.set, frame.run)

    def __str__(self) -> str:
        """The slice, and what else is not the first of its kind."""
        parts = [f"slice {self.slice}"]
        others = {"contrast": self.contrast, "set": self.set, "run": self.run}
        return ", ".join(parts + [f"{name} {number}" for name, number in others.items() if number])


@dataclass(frozen=True)
class Fit:
    """What came of a slice."""

    series: ImageSeries
    state: Any = None
    """What the fit of the next slice may start from."""


FitSlice = Callable[[Sequence[KSpace], Budget], Fit]
"""Reconstructs the frames of one slice within a budget."""


@dataclass
class _Slice:
    """What is known of a slice."""

    key: SliceKey
    frames: list[KSpace] = field(default_factory=list)
    n_shown: int = 0
    """Frames whose images were handed out."""
    failure: Exception | None = None
    """Why the last fit gave no images."""
    fit: Future[Fit] | None = None
    """Under way, or finished and not looked at yet."""
    budget: Budget = field(default_factory=Budget)
    """Of that fit."""

    @property
    def is_open(self) -> bool:
        """Whether frames are still to be fitted."""
        return len(self.frames) > self.n_shown and self.failure is None


class SliceQueue:
    """Takes frames, fits their slices and hands out the series; a context that leaves no thread behind.

    Every image is handed out once: where frames come after the series of their slice was, all frames are
    fitted again at the end, and that series then holds the late ones only.

    Each fit is offered what the last one of the same contrast and set has left to start from.

    Parameters
    ----------
    fit_slice
        Called in a thread, one slice at a time.
    report
        Is told how far a fit is, but only while :meth:`rest` waits for it.
    """

    def __init__(self, fit_slice: FitSlice, report: ProgressReport = silent) -> None:
        self._fit_slice = fit_slice
        self._report = report
        self._slices: dict[SliceKey, _Slice] = {}
        self._current: _Slice | None = None
        self._has_returned = False
        self._awaited: _Slice | None = None
        self._states: dict[tuple[int, int], Any] = {}
        self._thread = ThreadPoolExecutor(1, "slice-fit")
        self._given_up: list[Future[Fit]] = []

    def __enter__(self) -> SliceQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is under way, and wait until its present step is done."""
        for each in self._slices.values():
            self._give_up(each)
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, frame: KSpace) -> None:
        """Take a frame; where it is of another slice than the last one, the fit of that one begins."""
        key = SliceKey.of(frame)
        arrived = self._slices.setdefault(key, _Slice(key))
        if arrived.fit or arrived.n_shown or arrived.failure:
            _log.info("%s: frames come after its fit has begun; it is fitted at the end of the scan", key)
            self._has_returned = True
            self._give_up(arrived)
        arrived.frames.append(frame)
        former, self._current = self._current, arrived
        if former is None or former is arrived or self._has_returned:
            return
        if former.fit is None and former.is_open and len(former.frames) >= _FEWEST_FRAMES:
            self._begin(former, Budget(report=self._report_of(former)))

    def ready(self) -> Iterator[ImageSeries]:
        """The series that were finished in the meantime; does not wait."""
        for each in self._slices.values():
            if each.fit is not None and each.fit.done():
                yield from self._outcome(each, each.fit)

    def rest(self, seconds: float) -> Iterator[ImageSeries]:
        """The series that are still to come, after the last frame: that of the fit under way first.

        Parameters
        ----------
        seconds
            Time for all of them together.

        Raises
        ------
        ReconError
            After the last series, where slices failed; see :func:`raise_failures`.
        """
        ended = Budget(seconds)
        for each in self._slices.values():
            if each.fit is not None and each.fit.cancel():
                each.fit = None
        wait(self._given_up)
        waiting = [each for each in self._slices.values() if each.is_open]
        waiting.sort(key=lambda each: each.fit is None)
        for done, each in enumerate(waiting):
            yield from self._finish(each, max(ended.left_s, 0.0) / (len(waiting) - done))
        failures = {each.key: each.failure for each in self._slices.values() if each.failure}
        raise_failures(failures, len(self._slices))

    def _begin(self, each: _Slice, budget: Budget) -> Future[Fit]:
        each.budget = budget
        each.fit = self._thread.submit(self._run, each, tuple(each.frames), budget)
        return each.fit

    def _run(self, each: _Slice, frames: Sequence[KSpace], budget: Budget) -> Fit:
        """A fit, in the thread."""
        neighbours = (each.key.contrast, each.key.set)
        fit = self._fit_slice(frames, replace(budget, start=self._states.get(neighbours)))
        if each.budget is budget:  # not given up
            self._states[neighbours] = fit.state
        return fit

    def _finish(self, each: _Slice, seconds: float) -> Iterator[ImageSeries]:
        """Wait for the fit of a slice, and end it when its time is over."""
        self._awaited = each
        fit = each.fit or self._begin(each, Budget(seconds, self._report_of(each)))
        if not wait([fit], min(seconds, threading.TIMEOUT_MAX)).done:
            each.budget.cancel()
            wait([fit])
        self._awaited = None
        yield from self._outcome(each, fit)
        each.frames.clear()

    def _outcome(self, each: _Slice, fit: Future[Fit]) -> Iterator[ImageSeries]:
        from python_recon.ladder import SURVIVABLE

        each.fit = None
        try:
            series = fit.result().series
        except SURVIVABLE as error:
            _log.warning("%s failed: %s", each.key, error, exc_info=True)
            each.failure = error
            return
        shown, each.n_shown = each.n_shown, len(each.frames)
        yield _without_first(series, shown)

    def _give_up(self, each: _Slice) -> None:
        """Forget the fit under way, and the failure of a former one."""
        each.failure = None
        if each.fit is None:
            return
        each.budget.cancel()
        if not each.fit.cancel():
            self._given_up.append(each.fit)
        each.fit, each.budget = None, Budget()

    def _report_of(self, each: _Slice) -> ProgressReport:
        """Reports come from the thread, but only while the caller's waits for that slice."""

        def report(stage: str, done: float) -> None:
            if self._awaited is each:
                self._report(stage, done)

        return report


def raise_failures(failures: Mapping[SliceKey, Exception], n_slices: int) -> None:
    """One error that names the slices that failed and why; none where there are no failures.

    Raises
    ------
    ReconError
        Of the kind of the failures, where they are all of one.
    """
    if not failures:
        return
    kinds = {type(error) if isinstance(error, ReconError) else BackendError for error in failures.values()}
    kind = kinds.pop() if len(kinds) == 1 else ReconError
    reasons = "; ".join(f"{key}: {error}" for key, error in failures.items())
    raise kind(f"{len(failures)} of {n_slices} slices failed: {reasons}")


def _without_first(series: ImageSeries, count: int) -> ImageSeries:
    """The series without its first frames."""
    if count == 0:
        return series
    return replace(
        series,
        images=series.images[count:],
        times_s=None if series.times_s is None else series.times_s[count:],
        physiology_s=None if series.physiology_s is None else series.physiology_s[count:],
        first_frame=series.first_frame + count,
    )
