"""Heart and breath during a scan: what is known in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from python_recon.acquisition import r_waves
from python_recon.acquisition.waveforms import Trace, Waveform, joined


@dataclass(frozen=True)
class Physiology:
    """Heart and breath, on the clock of the readouts."""

    r_waves_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(r_wave,) rising; empty where they are not known."""
    source: str = ""
    """What the R waves come from: stamps, ECG triggers, ECG, pulse; empty where they are not known."""
    respiration: Trace | None = None
    """Waveform of the breath; None: none came."""

    @classmethod
    def from_signals(
        cls, times_s: np.ndarray, since_r_wave_s: np.ndarray, waveforms: Sequence[Waveform]
    ) -> Physiology:
        """From stamps of readouts (readout,); waveforms tell the breath, and R waves where stamps fail."""
        respiration = joined(waveforms, "respiration")
        found = r_waves.from_stamps(times_s, since_r_wave_s)
        if found.size:
            return cls(found, "stamps", respiration)
        found, source = r_waves_of_waveforms(waveforms)
        return cls(found, source, respiration)


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
