"""Heart and breath during a scan, found in its stamps and waveforms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from python_recon.acquisition.gating import r_waves
from python_recon.acquisition.gating.waveforms import joined
from python_recon.physiology import Physiology, Waveform


def physiology_from_signals(
    times_s: np.ndarray, since_r_wave_s: np.ndarray, waveforms: Sequence[Waveform]
) -> Physiology:
    """From stamps of readouts (readout,); waveforms tell the breath, and R waves where stamps fail."""
    respiration = joined(waveforms, "respiration")
    found = r_waves.from_stamps(times_s, since_r_wave_s)
    if found.size:
        return Physiology(found, "stamps", respiration)
    found, source = r_waves_of_waveforms(waveforms)
    return Physiology(found, source, respiration)


def r_waves_of_waveforms(waveforms: Sequence[Waveform]) -> tuple[np.ndarray, str]:
    """R waves (r_wave,) and what they come from: ECG triggers, else the ECG itself, else pulse triggers."""
    ecg, pulse = joined(waveforms, "ecg"), joined(waveforms, "pulse")
    ways = [
        ("ECG triggers", r_waves.from_triggers, ecg),
        ("ECG", r_waves.from_ecg, ecg),
        ("pulse triggers", r_waves.from_triggers, pulse),
    ]
    for source, find, trace in ways:
        found = find(trace) if trace is not None else np.empty(0)
        if found.size:
            return found, source
    return np.empty(0), ""
