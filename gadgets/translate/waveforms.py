"""From ISMRMRD waveforms to the blocks that the reconstruction understands."""

from __future__ import annotations

import ismrmrd
import numpy as np

from python_recon.physiology import Kind, Waveform

TICK_S = 2.5e-3
"""One tick of the time stamps, of readouts and waveforms alike."""

KINDS: tuple[Kind, ...] = ("ecg", "pulse", "respiration", "external_1", "external_2")
"""What the standard waveform ids mean, from 0 on."""


def waveform_from(waveform: ismrmrd.Waveform) -> Waveform | None:
    """One block of a waveform; None where its id has no standard meaning, or it tells nothing."""
    head = waveform.getHead()
    is_empty = waveform.data.size == 0 or not 0 < head.sample_time_us < 1e9
    if head.waveform_id >= len(KINDS) or is_empty:
        return None
    # The numbers travel unsigned, but those of an ECG may be below zero.
    samples = np.ascontiguousarray(waveform.data).view(np.int32).astype(np.float32)
    start_s = head.time_stamp * TICK_S
    return Waveform(KINDS[head.waveform_id], start_s, float(head.sample_time_us) * 1e-6, samples)
