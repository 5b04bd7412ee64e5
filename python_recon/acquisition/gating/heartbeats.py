"""The beats of the heart, and where in them a moment lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Heartbeats:
    """Beats from one R wave to the next."""

    r_waves_s: np.ndarray
    """(beat + 1,) float64, rising; at least two."""

    @cached_property
    def lengths_s(self) -> np.ndarray:
        """(beat,) time from each R wave to the next."""
        return np.diff(self.r_waves_s)

    @cached_property
    def usual_s(self) -> float:
        """Length of a usual beat: the lower median, for a missed trigger makes a beat longer."""
        return float(np.quantile(self.lengths_s, 0.5, method="lower"))

    def since_r_wave_s(self, times_s: np.ndarray) -> np.ndarray:
        """Time since the last R wave; before the first one as if usual beats had preceded it."""
        since = times_s - self.r_waves_s[np.maximum(self._last(times_s), 0)]
        return np.where(since < 0, since % self.usual_s, since)

    def phase(self, times_s: np.ndarray) -> np.ndarray:
        """Position in the beat, 0..1, every beat stretched alike.

        One of several times the usual length, in which a trigger was missed, counts as that many beats.
        Before the first and after the last R wave beats are taken to be of the usual length.
        """
        phase: np.ndarray = self.since_r_wave_s(times_s) / self._cycles_s[self._beat(times_s)] % 1.0
        return phase

    def is_regular(self, tolerance: float) -> np.ndarray:
        """(beat,) whether its length is within this share of the usual one."""
        regular: np.ndarray = np.abs(self.lengths_s - self.usual_s) <= tolerance * self.usual_s
        return regular

    def holds(self, times_s: np.ndarray) -> np.ndarray:
        """(beat,) whether any of these moments lies in it."""
        counts = np.bincount(self._beat(times_s).ravel(), minlength=len(self.lengths_s) + 1)
        held: np.ndarray = counts[:-1] > 0
        return held

    def lies_in(self, times_s: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Whether moments lie in chosen beats (beat,), or within a usual beat of the ends of the record."""
        is_near = (times_s >= self.r_waves_s[0] - self.usual_s) & (
            times_s < self.r_waves_s[-1] + self.usual_s
        )
        within: np.ndarray = np.concatenate([chosen, [True]])[self._beat(times_s)] & is_near
        return within

    @cached_property
    def _cycles_s(self) -> np.ndarray:
        """(beat + 1,) length of each beat, or of its parts; the last is for what was not seen whole."""
        n_beats = np.maximum(np.rint(self.lengths_s / self.usual_s), 1)
        return np.append(self.lengths_s / n_beats, self.usual_s)

    def _last(self, times_s: np.ndarray) -> np.ndarray:
        """Number of the last R wave before moments; -1 before the first."""
        return np.searchsorted(self.r_waves_s, times_s, "right") - 1

    def _beat(self, times_s: np.ndarray) -> np.ndarray:
        """Number of the beat; that after the last where it was not seen whole, in front of the first too."""
        last = self._last(times_s)
        return np.where(last < 0, len(self.lengths_s), last)
