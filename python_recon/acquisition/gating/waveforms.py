"""Blocks of a waveform joined to a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from python_recon.physiology import Kind, Trace, Waveform


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
