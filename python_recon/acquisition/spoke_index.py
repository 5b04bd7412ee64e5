"""The running number of a spoke in the sequence's own order.

The angle of a spoke follows from its number, so the number must come from the counters that the
sequence wrote: counting arrivals would turn all spokes after a lost one.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from python_recon.data import Readout, Scan

logger = logging.getLogger(__name__)

StreamKey: TypeAlias = tuple[int, int, int]
SpokeNumber: TypeAlias = Callable[[Readout], int]

_WRAP = 1 << 16
"""kspace_encode_step_1 is a uint16."""


def stream_key(readout: Readout) -> StreamKey:
    """(slice, contrast, set): each has spokes and frames of its own."""
    counters = readout.counters
    return counters.slice, counters.contrast, counters.set


class SpokeCounter:
    """Numbers the spokes of each (slice, contrast, set), leaving gaps where readouts are missing.

    How is decided from the first readouts and the header's limits, in this order:

    - ``repetition * (limit of kspace_encode_step_1 + 1) + kspace_encode_step_1``; where the step starts
      anew within a repetition, that counts as one more repetition;
    - ``kspace_encode_step_1`` alone, its wrap at 65536 undone, where it exceeds the limit, where there is
      no limit, or where it goes on counting from one repetition to the next;
    - ``scan_counter`` relative to the first readout, where the two counters stand still;
    - the order of arrival, where there is no counter at all.

    Parameters
    ----------
    head
        The first readouts of the scan.
    scan
        Its header.
    """

    def __init__(self, head: Sequence[Readout], scan: Scan) -> None:
        self._new_stream = _choose(head, scan)
        self._streams: dict[StreamKey, SpokeNumber] = {}

    def number(self, readout: Readout) -> int:
        """The spoke number of a readout; readouts are to be given in the order they arrived."""
        key = stream_key(readout)
        if key not in self._streams:
            self._streams[key] = self._new_stream()
        return self._streams[key](readout)


def _choose(head: Sequence[Readout], scan: Scan) -> Callable[[], SpokeNumber]:
    streams: dict[StreamKey, list[Readout]] = {}
    for readout in head:
        streams.setdefault(stream_key(readout), []).append(readout)
    groups = list(streams.values())
    limit = scan.limits.get("kspace_encode_step_1", 0)
    if any(_varies(group, _position) for group in groups) or all(len(group) == 1 for group in groups):
        is_single = not any(_varies(group, _step) for group in groups) and limit == 0
        return lambda: _Encoded(1 if is_single else limit + 1 if limit > 0 else None)
    strides = [
        abs(later.scan_counter - earlier.scan_counter)
        for group in groups
        for earlier, later in itertools.pairwise(group)
    ]
    if any(strides):
        logger.warning("kspace_encode_step_1 and repetition stand still: spokes are numbered by scan_counter")
        return lambda: _Scanned(min(stride for stride in strides if stride))
    logger.warning(
        "the readouts carry no counters: spokes are numbered as they arrive, and a lost readout "
        "turns all that follow"
    )
    return _Arrived


def _step(readout: Readout) -> int:
    return readout.counters.kspace_encode_step_1


def _position(readout: Readout) -> tuple[int, int]:
    return readout.counters.repetition, readout.counters.kspace_encode_step_1


def _varies(group: Sequence[Readout], value: Callable[[Readout], object]) -> bool:
    return len({value(readout) for readout in group}) > 1


class _Encoded:
    """Numbers from kspace_encode_step_1 and repetition."""

    def __init__(self, period: int | None) -> None:
        self._period = period
        self._passes = 0
        self._stride = 0
        self._last: Readout | None = None
        self._number = 0
        self._highest = -1
        self._has_restarted = False

    def __call__(self, readout: Readout) -> int:
        if self._period is not None and self._goes_on_counting(readout, self._period):
            logger.warning(
                "kspace_encode_step_1 counts beyond the header's limit or across repetitions: "
                "it alone numbers the spokes of %s",
                stream_key(readout),
            )
            self._period = None
        if self._period is None:
            self._number = self._unwrapped(readout)
        else:
            self._passes += self._restarts(readout, self._period)
            self._number = (readout.counters.repetition + self._passes) * self._period + _step(readout)
        self._learn_stride(readout)
        self._highest = max(self._highest, self._number)
        self._last = readout
        return self._number

    def _goes_on_counting(self, readout: Readout, period: int) -> bool:
        if _step(readout) >= period:
            return True
        last = self._last
        if last is None or not self._stride or readout.counters.repetition <= last.counters.repetition:
            return False
        # Lost readouts can also make the step of a later repetition look like a continuation, but then
        # scan_counter has run ahead of it.
        ahead = _step(readout) - _step(last)
        return ahead > 0 and readout.scan_counter - last.scan_counter == ahead * self._stride

    def _restarts(self, readout: Readout, period: int) -> bool:
        last = self._last
        if last is None or readout.counters.repetition != last.counters.repetition:
            return False
        is_late = readout.scan_counter < last.scan_counter
        return not is_late and 2 * (_step(last) - _step(readout)) > period

    def _unwrapped(self, readout: Readout) -> int:
        if self._last is None:
            return _step(readout)
        ahead = (_step(readout) - _step(self._last) + _WRAP // 2) % _WRAP - _WRAP // 2
        if ahead < 0 and readout.scan_counter >= self._last.scan_counter:
            self._tell_of_restart(readout)
            return self._highest + 1 + _step(readout)
        return self._number + ahead

    def _tell_of_restart(self, readout: Readout) -> None:
        if not self._has_restarted:
            logger.warning(
                "kspace_encode_step_1 starts anew at readout %d and the header gives no limit: "
                "what came before each new start is taken to be complete",
                readout.scan_counter,
            )
        self._has_restarted = True

    def _learn_stride(self, readout: Readout) -> None:
        last = self._last
        if self._stride or last is None or readout.counters.repetition != last.counters.repetition:
            return
        ahead, scans = _step(readout) - _step(last), readout.scan_counter - last.scan_counter
        if ahead > 0 and scans > 0 and scans % ahead == 0:
            self._stride = scans // ahead


class _Scanned:
    """Numbers from scan_counter, which other readouts of the scan advance as well."""

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._first: int | None = None

    def __call__(self, readout: Readout) -> int:
        if self._first is None:
            self._first = readout.scan_counter
        return round((readout.scan_counter - self._first) / self._stride)


class _Arrived:
    """Numbers in the order of arrival."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, readout: Readout) -> int:  # noqa: ARG002
        self._next += 1
        return self._next - 1
