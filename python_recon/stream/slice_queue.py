"""Slices fitted one after the other, the first of them while others are still being received.

A slice is taken to be complete when frames of another one begin. Its fit then runs in a thread, without a
deadline, and its images are handed out as it makes them. Should more frames of it come after all (slices are
interleaved, or its last frame was not full), the fit is given up, and what has not begun waits for the end
of the scan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NamedTuple

from python_recon.data import ImageSeries, KSpace
from python_recon.errors import BackendError, ReconError
from python_recon.resources.scan_context import device_turn, working_on
from python_recon.resources.schedule import Budget, ProgressReport, silent
from python_recon.stream.slice_fit import FitSlice, Work

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


@dataclass
class _Slice:
    """What is known of a slice."""

    key: SliceKey
    frames: list[KSpace] = field(default_factory=list)
    n_shown: int = 0
    """Images that were handed out."""
    is_done: bool = False
    """Whether those are all there can be of the frames so far."""
    failure: Exception | None = None
    """Why the last fit gave no images, or not all."""
    work: Work | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames are still to be fitted."""
        return not self.is_done and self.failure is None


class SliceQueue:
    """Takes frames, fits their slices and hands out the series; a context that leaves no thread behind.

    Every image is handed out once: where frames come after the series of their slice was, all frames are
    fitted again at the end, and that series then holds the late ones only.

    Each fit is offered what the last one of the same contrast, set and run has left to start from.

    Parameters
    ----------
    fit_slice
        Called in a thread, one slice at a time.
    report
        Is told how far a fit is, but only while :meth:`rest` waits for it.
    at_end
        Whether all slices wait for the end of the scan, since frames that come late would change all images.
    """

    def __init__(self, fit_slice: FitSlice, report: ProgressReport = silent, *, at_end: bool = False) -> None:
        self._fit_slice = fit_slice
        self._report = report
        self._slices: dict[SliceKey, _Slice] = {}
        self._current: _Slice | None = None
        self._has_returned = at_end
        self._awaited: _Slice | None = None
        self._states: dict[tuple[int, int, int], Any] = {}
        self._thread = ThreadPoolExecutor(1, "slice-fit")
        self._given_up: list[Future[None]] = []
        self.n_frames, self.held_bytes = 0, 0
        """What waits for a fit, or for more frames of its slice."""

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
        if arrived.work or arrived.n_shown or arrived.failure:
            _log.info("%s: frames come after its fit has begun; it is fitted at the end of the scan", key)
            self._has_returned = True
            self._give_up(arrived)
        arrived.frames.append(frame)
        arrived.is_done = False
        self.n_frames += 1
        self.held_bytes += _bytes_of(frame)
        former, self._current = self._current, arrived
        if former is None or former is arrived or self._has_returned:
            return
        if former.work is None and former.is_open and len(former.frames) >= _FEWEST_FRAMES:
            self._begin(former, Budget(report=self._report_of(former)))

    def ready(self) -> Iterator[ImageSeries]:
        """The images that were finished in the meantime; does not wait."""
        for each in self._slices.values():
            while each.work is not None and not each.work.parts.empty():
                yield from self._next(each, each.work, 0.0)

    def rest(self, seconds: float) -> Iterator[ImageSeries]:
        """The images that are still to come, after the last frame: those of the fit under way first.

        Parameters
        ----------
        seconds
            Time for all of them together; waiting for a device that others use does not count.

        Raises
        ------
        ReconError
            After the last series, where slices failed; see :func:`raise_failures`.
        """
        for each in self._slices.values():
            if each.work is not None and each.work.future.cancel():
                each.work = None
        wait(self._given_up)
        waiting = [each for each in self._slices.values() if each.is_open]
        waiting.sort(key=lambda each: each.work is None)
        left_s = seconds
        for done, each in enumerate(waiting):
            seconds = left_s / (len(waiting) - done)
            with working_on(slice=str(each.key)), device_turn(Budget()):
                self._awaited, started = each, time.monotonic()
                work = each.work or self._begin(each, Budget(seconds, self._report_of(each)))
                work.has_device.wait()  # while its images are sent, the device is held by the fit alone
            yield from self._finish(each, work, started + seconds)
            left_s = max(left_s - (work.ended_s - started), 0.0)
        failures = {each.key: each.failure for each in self._slices.values() if each.failure}
        raise_failures(failures, len(self._slices))

    def _begin(self, each: _Slice, budget: Budget) -> Work:
        frames = tuple(each.frames)
        each.work = work = Work(budget)
        work.begin(self._thread, lambda work: self._run(each, frames, work))
        return work

    def _run(self, each: _Slice, frames: Sequence[KSpace], work: Work) -> None:
        """A fit, in the thread."""
        neighbours, state = each.key[1:], None
        with working_on(slice=str(each.key)), device_turn(work.budget):
            work.has_device.set()
            budget = replace(work.budget, start=self._states.get(neighbours))
            for part in self._fit_slice(frames, budget):
                if each.work is not work:  # given up
                    return
                state = part.state
                work.parts.put(part)
        self._states[neighbours] = state

    def _finish(self, each: _Slice, work: Work, until_s: float) -> Iterator[ImageSeries]:
        """Hand out what a fit makes, and end it when its time is over."""
        while each.work is not None:
            yield from self._next(each, work, until_s - time.monotonic())
        self.n_frames -= len(each.frames)
        self.held_bytes -= sum(map(_bytes_of, each.frames))
        each.frames.clear()

    def _next(self, each: _Slice, work: Work, seconds: float) -> Iterator[ImageSeries]:
        """The next images of a fit, waiting for so long; at its end, what became of it is noted."""
        self._awaited = each
        part = work.take(seconds)
        self._awaited = None
        if part is None:
            self._conclude(each, work)
            return
        skipped = min(max(each.n_shown - work.n_taken, 0), part.series.n_frames)
        work.n_taken += part.series.n_frames
        each.n_shown = max(each.n_shown, work.n_taken)
        if skipped < part.series.n_frames:
            yield _without_first(part.series, skipped)

    def _conclude(self, each: _Slice, work: Work) -> None:
        from python_recon.stream.ladder import SURVIVABLE

        each.work = None
        try:
            work.future.result()
            each.is_done = True
        except SURVIVABLE as error:
            _log.warning("%s failed: %s", each.key, error, exc_info=True, extra={"slice": str(each.key)})
            each.failure = error.with_traceback(None)  # which would keep the memory of what failed

    def _give_up(self, each: _Slice) -> None:
        """Forget the fit under way, and the failure of a former one."""
        each.failure = None
        work, each.work = each.work, None
        if work is not None and not work.cancel():
            self._given_up.append(work.future)

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


def _bytes_of(frame: KSpace) -> int:
    return int(frame.data.nbytes + frame.trajectory.nbytes)


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
