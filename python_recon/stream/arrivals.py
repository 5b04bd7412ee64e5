"""Whether data come from a scanner at work, and how late work on them is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from python_recon.data import Readout

_LEAST_PACE = 0.5
"""Pace, relative to that of the acquisition, from which on data are taken to come from a scanner."""


class Arrivals:
    """Watches readouts as they are taken for work.

    A scanner cannot send a readout before it was acquired: at the pace of the time stamps, work that comes
    late is late for somebody. A file is sent as fast as it can be, and nobody wants less of it for that. The
    two are told apart by the moments when readouts were received, not taken: those that waited for a device
    are late as well. Without these moments, or without time stamps, nothing is late.
    """

    def __init__(self) -> None:
        self._first: Readout | None = None
        self._last: Readout | None = None

    def watch(self, readouts: Iterable[Readout]) -> Iterator[Readout]:
        """The readouts, noted as they are taken."""
        for readout in readouts:
            if not readout.is_noise and readout.arrived_s is not None:
                self._first, self._last = self._first or readout, readout
            yield readout

    @property
    def is_live(self) -> bool:
        """Whether the data come at the pace of the scan."""
        first, last = self._first, self._last
        if first is None or last is None or first.arrived_s is None or last.arrived_s is None:
            return False
        acquired_s = last.time_s - first.time_s
        return acquired_s > 0 and last.arrived_s - first.arrived_s >= _LEAST_PACE * acquired_s

    @property
    def age_s(self) -> float:
        """How long ago the last readout that was taken was received; 0 where the data are not live."""
        if self._last is None or self._last.arrived_s is None or not self.is_live:
            return 0.0
        return time.monotonic() - self._last.arrived_s
