"""Time stamps as scanners count them: ticks since midnight."""

from __future__ import annotations

TICK_S = 2.5e-3
"""One tick of the time stamps, of readouts and waveforms alike."""
DAY = 34_560_000
"""Ticks of a day, after which they start anew."""
_AROUND_MIDNIGHT = 24_000
"""A stamp of 0 means something within a minute of midnight only: elsewhere it was never filled in."""


class DayClock:
    """Time stamps of one scan in seconds that go on over midnight.

    A stamp is of the day on which it lies nearest to the one before: within half a day. Clocks that count
    beyond a day do not start anew.
    """

    def __init__(self) -> None:
        self._latest: int | None = None
        self._has_midnight = True

    def seconds(self, stamp: int) -> float:
        """Seconds since a midnight, the same for the whole scan."""
        return self.ticks(stamp) * TICK_S

    def ticks(self, stamp: int) -> int:
        """Ticks since then."""
        self._has_midnight &= stamp < DAY
        if self._latest is None or not self._has_midnight:
            self._latest = stamp or self._latest
            return stamp
        distance = (stamp - self._latest + DAY // 2) % DAY - DAY // 2
        if not stamp and abs(distance) > _AROUND_MIDNIGHT:
            return 0
        self._latest += distance
        return self._latest


def is_later(stamp: int, reference: int) -> bool:
    """Whether a stamp is later than another, which is not half a day away."""
    ahead = stamp - reference
    if max(stamp, reference) < DAY:
        ahead = (ahead + DAY // 2) % DAY - DAY // 2
    return ahead > 0


def stamp_of(time_s: float) -> int:
    """The stamp of a time, which may lie on the day after, or before, that of the scan's first stamp."""
    ticks = round(float(time_s) / TICK_S)
    return ticks % DAY if -DAY <= ticks < 2 * DAY else min(max(ticks, 0), 0xFFFFFFFF)
