"""Real-time gating: frames that begin with the heartbeat, handed out while it lasts."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from statistics import median

from python_recon.acquisition.binning.frame_rules import Cut, spoke_number
from python_recon.acquisition.gating.r_waves import LONGEST_BEAT_S, SHORTEST_BEAT_S
from python_recon.data import Readout

_ASSUMED_BEAT_S = 0.8
"""Length of a beat, as long as none has been seen."""
_BEATS_KEPT = 8
_MISSED = 1.5
"""So many usual beats after an R wave the next one was missed: beats of the usual length are assumed then."""

_log = logging.getLogger(__name__)


class BeatPhases:
    """A frame is one phase of one beat.

    Phases are predicted: a beat is taken to be as long as the median of the last ones, and its last frame
    lasts until the R wave comes. Frame ``beat * n_phases + phase`` is that phase; a beat shorter than usual
    lacks the last ones. Without R waves beats of a length are assumed, so that frames are those of time.

    Parameters
    ----------
    n_phases
        Frames of a beat.
    """

    n_unused = 0

    def __init__(self, n_phases: int) -> None:
        self._n_phases = n_phases
        self._open: list[Readout] = []
        self._number = 0
        self._beat = 0
        self._begun_s: float | None = None
        self._r_wave_s: float | None = None
        self._lengths_s: deque[float] = deque(maxlen=_BEATS_KEPT)

    def add(self, readout: Readout) -> Iterator[Cut]:
        number = self._frame_of(readout)
        if number != self._number:
            yield from self.flush()
        self._number = number
        self._open.append(readout)

    def flush(self) -> Iterator[Cut]:
        if not self._open:
            return
        own, self._open = sorted(self._open, key=spoke_number), []
        comment = "" if self._r_wave_s is not None else "no R wave has been seen: the frame is one of time"
        if comment and self._number == 0:
            _log.warning("%s", comment)
        yield Cut(self._number, own, comment=comment)

    def starts_anew(self, readout: Readout) -> bool:  # noqa: ARG002
        return False

    def _frame_of(self, readout: Readout) -> int:
        stamp = readout.physiology_s[0]
        if stamp > 0:
            self._note(readout.time_s - stamp)
        if self._begun_s is None:
            self._begun_s = readout.time_s
        usual_s = median(self._lengths_s) if self._lengths_s else _ASSUMED_BEAT_S
        since_s = readout.time_s - self._begun_s
        if since_s >= usual_s * (_MISSED if self._begun_s == self._r_wave_s else 1.0):
            n_beats = int(since_s / usual_s)
            self._begin(self._begun_s + n_beats * usual_s, n_beats)
            since_s -= n_beats * usual_s
        phase = min(int(since_s / usual_s * self._n_phases), self._n_phases - 1)
        return self._beat * self._n_phases + max(phase, 0)

    def _note(self, r_wave_s: float) -> None:
        """An R wave that a stamp tells of, perhaps one that is known."""
        if self._r_wave_s is not None and r_wave_s < self._r_wave_s + SHORTEST_BEAT_S:
            return
        if self._r_wave_s is not None and r_wave_s - self._r_wave_s < LONGEST_BEAT_S:
            self._lengths_s.append(r_wave_s - self._r_wave_s)
        self._r_wave_s = r_wave_s
        self._begin(r_wave_s, 0 if self._begun_s is None else 1)

    def _begin(self, begun_s: float, n_beats: int) -> None:
        self._begun_s = begun_s
        self._beat += n_beats
