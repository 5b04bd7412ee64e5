"""Waveforms that come along with a scan: ECG, pulse, breath, on the clock of its readouts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
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


def joined(waveforms: Iterable[Waveform], kind: Kind) -> Trace | None:
    """The blocks of one kind as one trace, whatever order they came in; None where there are none.

    Samples that were sent twice count once; blocks with another number of channels than most are left out.
    """
    blocks = [each for each in waveforms if each.kind == kind and each.data.size and each.interval_s > 0]
    if not blocks:
        return None
    n_channels = Counter(len(block.data) for block in blocks).most_common(1)[0][0]
    blocks = sorted((b for b in blocks if len(b.data) == n_channels), key=lambda block: block.start_s)
    times = np.concatenate([b.start_s + b.interval_s * np.arange(b.data.shape[1]) for b in blocks])
    is_new = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
    data = np.concatenate([block.data for block in blocks], axis=1)
    interval_s = float(np.median([block.interval_s for block in blocks]))
    return Trace(times[is_new], interval_s, data[:, is_new])
