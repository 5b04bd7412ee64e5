"""The nouns of heart and breath: what is recorded beside a scan."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

Kind: TypeAlias = Literal["ecg", "pulse", "respiration", "external_1", "external_2"]

_LONGEST_GAP_S = 0.05
"""Samples that are further apart belong to different stretches of a trace."""


@dataclass(frozen=True)
class Waveform:
    """One block of a waveform, as it was received."""

    kind: Kind
    start_s: float
    """Time of the first sample, by the clock of the readouts."""
    interval_s: float
    """Time from one sample to the next."""
    data: np.ndarray
    """(channel, sample) float."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.interval_s * self.data.shape[1]


@dataclass(frozen=True)
class Trace:
    """All that came of one kind of waveform, in order."""

    times_s: np.ndarray
    """(sample,) rising; not even where blocks were lost."""
    interval_s: float
    """Usual time from one sample to the next."""
    data: np.ndarray
    """(channel, sample) float."""

    def stretches(self) -> list[slice]:
        """The samples between gaps."""
        gaps = np.flatnonzero(np.diff(self.times_s) > self.interval_s + _LONGEST_GAP_S) + 1
        edges = [0, *gaps.tolist(), len(self.times_s)]
        return [slice(first, end) for first, end in itertools.pairwise(edges)]

    def covers(self, times_s: np.ndarray) -> bool:
        """Whether it was recorded while all but a tenth of these moments passed."""
        inside = (times_s >= self.times_s[0]) & (times_s <= self.times_s[-1])
        return bool(inside.mean() > 0.9)


@dataclass(frozen=True)
class Physiology:
    """Heart and breath, on the clock of the readouts."""

    r_waves_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(r_wave,) rising; empty where they are not known."""
    source: str = ""
    """What the R waves come from: stamps, ECG triggers, ECG, pulse; empty where they are not known."""
    respiration: Trace | None = None
    """Waveform of the breath; None: none came."""
