"""From ISMRMRD waveforms to the blocks that the reconstruction understands."""

from __future__ import annotations

import ismrmrd
import numpy as np

from gadgets.translate.clock import DayClock
from python_recon.physiology import Kind, Waveform

KINDS: tuple[Kind, ...] = ("ecg", "pulse", "respiration", "external_1", "external_2")
"""What the standard waveform ids mean, from 0 on."""


def waveform_from(waveform: ismrmrd.Waveform, clock: DayClock) -> Waveform | None:
    """One block of a waveform, timed by the clock of the scan.

    None where its id has no standard meaning, or it tells nothing.
    """
    head = waveform.getHead()
    is_empty = waveform.data.size == 0 or not 0 < head.sample_time_us < 1e9
    if head.waveform_id >= len(KINDS) or is_empty:
        return None
    # The numbers travel unsigned, but those of an ECG may be below zero.
    samples = np.ascontiguousarray(waveform.data).view(np.int32).astype(np.float32)
    start_s = clock.seconds(head.time_stamp)
    return Waveform(KINDS[head.waveform_id], start_s, float(head.sample_time_us) * 1e-6, samples)
