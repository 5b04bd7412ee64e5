"""The readouts of one (slice, contrast, set), cut run by run, with an account of what is missing.

Readouts fit together as long as geometry, coils and samples stay: that is a run. Where they change for good a
new run begins. Where they come back, as those of slices that share a label do, each goes on with its own, and
those that differ in nothing but their place are slices of one run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from python_recon.acquisition.binning.frame_rules import Cut, FrameRule
from python_recon.acquisition.spoke_index import StreamKey
from python_recon.data import Geometry, Readout

logger = logging.getLogger(__name__)

_POSITION_TOLERANCE_MM = 0.1
_DIRECTION_TOLERANCE = 1e-3
_TOLD_DRIFT_MM = 1.0
"""A run whose place drifts by more than this is told of."""
_MOST_OPEN = 128
"""Runs that wait for more readouts at a time; beyond, the one that waits longest ends."""


@dataclass(frozen=True)
class NumberedCut:
    """The readouts of a frame, and where it belongs."""

    number: int
    """Of the frame."""
    run: int
    place: int
    """0, 1, ... of the slices that share the label within the run."""
    cut: Cut


class Stream:
    """Cuts one (slice, contrast, set)."""

    def __init__(self, key: StreamKey, new_rule: Callable[[], FrameRule], minimum_fraction: float) -> None:
        self._name = "slice {}, contrast {}, set {}".format(*key)
        self._new_rule = new_rule
        self._minimum_fraction = minimum_fraction
        self._open: list[_Run] = []
        self._n_taken = self._n_runs = 0
        self._n_places: Counter[int] = Counter()
        """By run."""
        self._n_missing = self._n_incomplete = 0

    def add(self, readout: Readout) -> Iterator[NumberedCut]:
        """Take a readout; yield the frames that are complete by it."""
        run = self._run_of(readout)
        if run is None:
            if len(self._open) == _MOST_OPEN:
                yield from self._close(max(self._open, key=lambda each: each.n_waited))
            run = self._begin(readout, self._change(readout), 0)
        elif run.rule.starts_anew(readout):
            yield from self._close(run)
            run = self._begin(readout, "the spokes are counted anew", run.next_number)
        self._n_taken += 1
        run.take(readout, self._n_taken)
        for other in self._open:
            other.n_waited = 0 if other is run else other.n_waited + 1
        cuts = list(run.rule.add(readout))
        if cuts:
            for left in [other for other in self._open if other.n_waited >= run.n_readouts]:
                yield from self._close(left)
        yield from self._accepted(run, cuts)

    def finish(self) -> Iterator[NumberedCut]:
        """Yield what is still open at the end of the scan."""
        for run in self._open:
            yield from self._flush(run)
        self._open.clear()
        if self._n_missing:
            logger.warning(
                "%s: %d spokes are missing in %d frames", self._name, self._n_missing, self._n_incomplete
            )

    def _run_of(self, readout: Readout) -> _Run | None:
        return next((run for run in reversed(self._open) if not _difference(readout, run.last)), None)

    def _change(self, readout: Readout) -> str:
        """What makes a readout the first of a run; empty for the very first."""
        if not self._open:
            return ""
        latest = min(self._open, key=lambda run: run.n_waited)
        return _difference(readout, latest.last)

    def _begin(self, readout: Readout, change: str, first_number: int) -> _Run:
        run = _Run(self._new_rule(), readout, change, first_number, self._n_taken)
        self._open.append(run)
        return run

    def _number(self, run: _Run) -> int:
        """The number of a run that has its first frame, and with it the run's place."""
        others = (other for other in self._open if other.number is not None and run.alternates_with(other))
        other = next(others, None)
        if other is None or other.number is None:
            number, self._n_runs = self._n_runs, self._n_runs + 1
            text = "%s: %s at readout %d: a new run of frames begins"
        else:
            number, text = other.number, "%s: %s at readout %d, and back: a slice of its own"
        if run.change:
            logger.warning(text, self._name, run.change, run.first.scan_counter)
        run.place = self._n_places[number]
        self._n_places[number] += 1
        return number

    def _close(self, run: _Run) -> Iterator[NumberedCut]:
        self._open.remove(run)
        yield from self._flush(run)

    def _flush(self, run: _Run) -> Iterator[NumberedCut]:
        yield from self._accepted(run, run.rule.flush())
        if run.rule.n_unused:
            logger.warning("%s: %d readouts are in no frame", self._name, run.rule.n_unused)
        if run.drift_mm > _TOLD_DRIFT_MM:
            logger.warning(
                "%s: its place, or the table's, drifts by %.1f mm during the scan", self._name, run.drift_mm
            )

    def _accepted(self, run: _Run, cuts: Iterable[Cut]) -> Iterator[NumberedCut]:
        for cut in cuts:
            reference = cut.expected or cut.typical or 0
            if len(cut.own) < self._minimum_fraction * reference:
                logger.warning(
                    "%s: frame %d left out, it has only %d of %d spokes",
                    self._name,
                    cut.number,
                    len(cut.own),
                    reference,
                )
                continue
            if cut.expected and len(cut.own) < cut.expected:
                self._n_missing += cut.expected - len(cut.own)
                self._n_incomplete += 1
            number = max(cut.number, run.next_number)
            run.next_number = number + 1
            if run.number is None:
                run.number = self._number(run)
            yield NumberedCut(number, run.number, run.place, cut)


class _Run:
    """Readouts that fit together."""

    def __init__(self, rule: FrameRule, first: Readout, change: str, next_number: int, began_at: int) -> None:
        self.rule = rule
        self.first = self.last = first
        self.change = change
        """What made its first readout no part of the run before."""
        self.number: int | None = None
        """None until it has a frame."""
        self.place = 0
        self.next_number = next_number
        """Of its next frame, at least."""
        self.n_readouts = 0
        self.n_waited = 0
        """Readouts of other runs since its last one."""
        self._began_at = self._last_at = began_at

    def take(self, readout: Readout, at: int) -> None:
        """Take a readout, the one with number ``at`` of its stream."""
        # The last one is what the next is compared with: a slow drift makes no new run.
        self.last, self._last_at = readout, at
        self.n_readouts += 1

    def alternates_with(self, other: _Run) -> bool:
        """Whether the other went on after this one began, at another place of the same kind."""
        return other._last_at > self._began_at + 1 and _is_parallel(other.last, self.first)

    @property
    def drift_mm(self) -> float:
        one, other = self.first.geometry, self.last.geometry
        moved = [
            np.subtract(one.position_mm, other.position_mm),
            np.subtract(one.table_position_mm, other.table_position_mm),
        ]
        return float(np.linalg.norm(moved, axis=1).max())


def _difference(readout: Readout, reference: Readout) -> str:
    """What keeps a readout out of the run of another; empty if nothing does."""
    if readout.n_coils != reference.n_coils:
        return f"{readout.n_coils} coils after {reference.n_coils}"
    if readout.channel_mask != reference.channel_mask:
        return "other coils"
    if readout.n_samples != reference.n_samples:
        return f"{readout.n_samples} samples after {reference.n_samples}"
    return "" if _is_same_place(readout.geometry, reference.geometry) else "another geometry"


def _is_same_place(one: Geometry, other: Geometry) -> bool:
    if one == other:
        return True
    lengths = ("position_mm", "table_position_mm", "field_of_view_mm")
    directions = ("read_dir", "phase_dir", "slice_dir")
    return _are_close(one, other, lengths, _POSITION_TOLERANCE_MM) and _are_close(
        one, other, directions, _DIRECTION_TOLERANCE
    )


def _is_parallel(one: Readout, other: Readout) -> bool:
    """Whether two readouts differ in nothing but the place of their slices."""
    shape = (one.n_coils, one.channel_mask, one.n_samples)
    directions = ("read_dir", "phase_dir", "slice_dir")
    return shape == (other.n_coils, other.channel_mask, other.n_samples) and _are_close(
        one.geometry, other.geometry, directions, _DIRECTION_TOLERANCE
    )


def _are_close(one: Geometry, other: Geometry, names: Sequence[str], tolerance: float) -> bool:
    return all(np.allclose(getattr(one, n), getattr(other, n), rtol=0, atol=tolerance) for n in names)
