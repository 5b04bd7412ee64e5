"""Rules that cut the readouts of one slice into frames.

A rule is fed one readout after the other and hands out every frame that is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Protocol

from python_recon.data import Readout
from python_recon.errors import MissingTrajectoryError


@dataclass(frozen=True)
class Cut:
    """The readouts of one frame, in the order of their spoke numbers."""

    number: int
    """What the rule counts: window, repetition or phase."""
    own: Sequence[Readout]
    before: Sequence[Readout] = ()
    """Borrowed from before the frame (view sharing)."""
    after: Sequence[Readout] = ()
    expected: int | None = None
    """Spokes that the frame should have of its own; None when nothing tells."""
    typical: int | None = None
    """Median number of spokes of the frames cut by the same rule; None when there are no others."""
    comment: str = ""
    """What a reader of the image should know."""


def spoke_number(readout: Readout) -> int:
    """The number that locating has given the spoke."""
    if readout.spoke_index is None or readout.trajectory is None:
        raise MissingTrajectoryError(
            f"readout {readout.scan_counter} is not located: pass it through trajectory.locate first"
        )
    return readout.spoke_index


class FrameRule(Protocol):
    """Cuts one run of readouts of one slice."""

    n_unused: int
    """Readouts that came too late for their frame, or that no frame wants."""

    def add(self, readout: Readout) -> Iterator[Cut]:
        """Take a readout; yield the frames that it completes."""

    def flush(self) -> Iterator[Cut]:
        """Yield what is still open at the end of the run."""

    def starts_anew(self, readout: Readout) -> bool:
        """Whether the readout can only belong to another run, because its counters have gone back."""


class SpokeWindows:
    """Frame f holds the spokes numbered f * step ... f * step + length - 1, whichever of them arrived.

    Parameters
    ----------
    length
        Spokes of a frame.
    step
        Spokes from the start of a frame to the start of the next.
    shared
        Spokes borrowed on either side.
    """

    def __init__(self, length: int, step: int, shared: int) -> None:
        self._length, self._step, self._shared = length, step, shared
        self._pending: list[Readout] = []
        self._next: int | None = None
        self.n_unused = 0

    def add(self, readout: Readout) -> Iterator[Cut]:
        number = spoke_number(readout)
        first = self._first_window(number)
        if self._next is None:
            self._next = first
        if not self._is_wanted(number):
            self.n_unused += 1
            return
        self._pending.append(readout)
        while self._is_complete(number):
            yield from self._close()

    def flush(self) -> Iterator[Cut]:
        while self._pending:
            yield from self._close()

    def starts_anew(self, readout: Readout) -> bool:
        return self._next is not None and spoke_number(readout) < self._next * self._step - self._length

    def _first_window(self, number: int) -> int:
        """The first window that ends after this spoke."""
        return max(0, (number - self._length) // self._step + 1)

    def _is_wanted(self, number: int) -> bool:
        start = (self._next or 0) * self._step - self._shared
        in_gap = self._shared == 0 and number % self._step >= self._length
        return number >= start and not in_gap

    def _is_complete(self, arrived: int) -> bool:
        if self._next is None or not self._pending:
            return False
        end = self._next * self._step + self._length + self._shared
        if arrived >= end:
            return True
        start = max(0, self._next * self._step - self._shared)
        return arrived == end - 1 and len(self._numbers(start, end)) == end - start

    def _numbers(self, start: int, end: int) -> set[int]:
        return {number for number in map(spoke_number, self._pending) if start <= number < end}

    def _close(self) -> Iterator[Cut]:
        window = self._next or 0
        start = window * self._step
        own = self._between(start, start + self._length)
        if own:
            before = self._between(start - self._shared, start)
            after = self._between(start + self._length, start + self._length + self._shared)
            yield Cut(window, own, before, after, self._length)
        self._advance(window)

    def _advance(self, window: int) -> None:
        """On to the next window that holds a spoke; forget the spokes that no later window needs."""
        start = (window + 1) * self._step - self._shared
        self._pending = [r for r in self._pending if spoke_number(r) >= start]
        later = [spoke_number(r) for r in self._pending if spoke_number(r) >= (window + 1) * self._step]
        self._next = max(window + 1, self._first_window(min(later))) if later else window + 1

    def _between(self, start: int, end: int) -> list[Readout]:
        return sorted((r for r in self._pending if start <= spoke_number(r) < end), key=spoke_number)


class Repetitions:
    """A frame is what comes until the repetition changes.

    A first frame that holds less than the header announces is kept back until the second tells whether it is
    short or the header wrong. A later one is handed out with its last spoke where header and frames agree.

    Parameters
    ----------
    announced
        Spokes of a repetition, as the header has it; None: it does not tell.
    """

    def __init__(self, announced: int | None = None) -> None:
        self._announced = announced
        self._open: list[Readout] = []
        self._first: list[Readout] = []
        self._counts: list[int] = []
        self._closed: int | None = None
        self.n_unused = 0

    def add(self, readout: Readout) -> Iterator[Cut]:
        repetition = readout.counters.repetition
        if repetition == self._closed:
            self.n_unused += 1
            return
        if self._open and repetition != self._open[0].counters.repetition:
            yield from self._close(is_last=False)
        self._open.append(readout)
        self._closed = None
        if self._is_complete():
            self._closed = repetition
            yield from self._close(is_last=False)

    def flush(self) -> Iterator[Cut]:
        if self._open:
            yield from self._close(is_last=True)
        if self._first:
            yield _repetition(self._first, None)
            self._first = []

    def starts_anew(self, readout: Readout) -> bool:  # noqa: ARG002
        return False

    def _is_complete(self) -> bool:
        return bool(self._counts) and {*self._counts, len(self._open)} == {self._announced}

    def _close(self, *, is_last: bool) -> Iterator[Cut]:
        own, self._open = self._open, []
        if not self._counts and not is_last and len(own) < (self._announced or len(own) + 1):
            self._first = own
        else:
            if self._first:
                yield _repetition(self._first, len(own))
                self._first = []
            yield _repetition(own, median_low(self._counts) if self._counts else None)
        self._counts.append(len(own))


def _repetition(readouts: Sequence[Readout], expected: int | None) -> Cut:
    own = sorted(readouts, key=spoke_number)
    return Cut(own[0].counters.repetition, own, expected=expected)


class Phases:
    """A frame is all spokes of one phase; phases recur in every heartbeat, so all stay open to the end."""

    n_unused = 0

    def __init__(self) -> None:
        self._open: dict[int, list[Readout]] = {}

    def add(self, readout: Readout) -> Iterator[Cut]:
        self._open.setdefault(readout.counters.phase, []).append(readout)
        yield from ()

    def flush(self) -> Iterator[Cut]:
        if not self._open:
            return
        typical = median_low(map(len, self._open.values()))
        for phase in sorted(self._open):
            yield Cut(phase, sorted(self._open[phase], key=spoke_number), typical=typical)
        self._open = {}

    def starts_anew(self, readout: Readout) -> bool:  # noqa: ARG002
        return False


class Counted:
    """A frame is what has one repetition and phase; averages and segments of it are joined.

    The phases of a repetition are complete when the next one begins, or at the end. Frames of lines differ in
    their number, where the sampling varies in time: none is left out for having few.
    """

    n_unused = 0

    def __init__(self) -> None:
        self._open: dict[int, list[Readout]] = {}
        self._repetition: int | None = None
        self._next = 0

    def add(self, readout: Readout) -> Iterator[Cut]:
        repetition = readout.counters.repetition
        if self._repetition is not None and repetition != self._repetition:
            yield from self.flush()
        self._repetition = repetition
        self._open.setdefault(readout.counters.phase, []).append(readout)

    def flush(self) -> Iterator[Cut]:
        for phase in sorted(self._open):
            yield Cut(self._next + phase, sorted(self._open[phase], key=spoke_number))
        self._next += max(self._open, default=-1) + 1
        self._open = {}

    def starts_anew(self, readout: Readout) -> bool:  # noqa: ARG002
        return False
