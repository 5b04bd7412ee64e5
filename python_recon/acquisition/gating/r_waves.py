"""When the heart beat: R waves from the stamps of readouts, from trigger channels and from the ECG itself.

All functions give the times (r_wave,) of R waves in seconds, rising; none where what they found cannot be the
beat of a heart.
"""

from __future__ import annotations

import numpy as np

from python_recon.physiology import Trace

SHORTEST_BEAT_S, LONGEST_BEAT_S = 0.25, 3.0
"""Between them lies the median beat of whoever is scanned."""

_SAME_R_WAVE_S = 0.2
_QRS_BAND_HZ = (8.0, 20.0)
"""Where QRS complexes have most, and T waves, which the magnet's field raises, little of their power."""
_SAMPLING_HZ = (50.0, 10_000.0)
"""Of ECGs: below it QRS complexes cannot be told."""
_QRS_S = 0.1
_WINDOW_S = 2.0
"""Holds a beat of any heart."""
_LOWEST_SHARE = 0.15
"""Of a QRS complex's power, relative to that of its neighbours."""
_CLEAREST_NOISE = 8.0
"""Largest ratio of peak to median power that noise reaches."""
_MOST_FLAGS, _MOST_FLAG_VALUES = 0.3, 4
"""A trigger channel is raised for a share of the time, and knows a few values."""


def from_stamps(times_s: np.ndarray, since_r_wave_s: np.ndarray) -> np.ndarray:
    """R waves from moments (readout,), and the time since the last R wave that each was stamped with."""
    if since_r_wave_s.size == 0 or not np.ptp(since_r_wave_s) > 0:
        return np.empty(0)
    stamped = np.sort(times_s - since_r_wave_s)
    groups = np.split(stamped, np.flatnonzero(np.diff(stamped) > _SAME_R_WAVE_S) + 1)
    return _plausible(np.array([np.median(group) for group in groups]))


def from_triggers(trace: Trace) -> np.ndarray:
    """R waves, or their like, where the last channel of a waveform holds the triggers of the scanner."""
    flags = trace.data[-1]
    is_raised = flags != np.median(flags)
    if not 0 < is_raised.mean() < _MOST_FLAGS or len(np.unique(flags)) > _MOST_FLAG_VALUES:
        return np.empty(0)
    rises = np.flatnonzero(is_raised & ~np.concatenate([[False], is_raised[:-1]]))
    times = trace.times_s[rises]
    return _plausible(times[np.diff(times, prepend=-np.inf) > SHORTEST_BEAT_S])


def from_ecg(trace: Trace) -> np.ndarray:
    """R waves of the lead in which QRS complexes stand out most.

    The peaks of the power in the band of QRS complexes that reach a share of the usual one around them;
    each is put at the largest deflection. After Pan and Tompkins, doi:10.1109/TBME.1985.325532.
    """
    rate_hz = 1 / trace.interval_s
    if not _SAMPLING_HZ[0] <= rate_hz <= _SAMPLING_HZ[1]:
        return np.empty(0)
    deflection = np.concatenate([_qrs_band(trace.data[:, part], rate_hz) for part in trace.stretches()], -1)
    power = _moving_mean(deflection**2, round(_QRS_S * rate_hz))
    usual = np.stack([_usual_peak(lead, round(_WINDOW_S * rate_hz)) for lead in power])
    clearness = np.median(usual, axis=1) / np.maximum(np.median(power, axis=1), 1e-12 * usual.max() + 1e-30)
    lead = int(clearness.argmax())
    if clearness[lead] < _CLEAREST_NOISE:
        return np.empty(0)
    return _plausible(trace.times_s[_peaks(deflection[lead], power[lead], usual[lead], rate_hz)])


def _qrs_band(leads: np.ndarray, rate_hz: float) -> np.ndarray:
    """Leads (lead, sample) of one stretch in the band of QRS complexes; zero where that is too short."""
    from scipy.signal import butter, sosfiltfilt

    if leads.shape[1] < _WINDOW_S * rate_hz:
        return np.zeros_like(leads, dtype=np.float64)
    sections = butter(2, _QRS_BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    filtered: np.ndarray = sosfiltfilt(sections, leads.astype(np.float64), axis=1)
    return filtered


def _moving_mean(signals: np.ndarray, width: int) -> np.ndarray:
    from scipy.ndimage import uniform_filter1d

    mean: np.ndarray = uniform_filter1d(signals, width, axis=-1)
    return mean


def _usual_peak(power: np.ndarray, width: int) -> np.ndarray:
    """(sample,) median of the peaks of the windows around each sample."""
    from scipy.ndimage import median_filter

    starts = range(0, len(power), width)
    peaks = median_filter([power[start : start + width].max() for start in starts], 5, mode="nearest")
    return np.interp(np.arange(len(power)), np.array(starts) + width / 2, peaks)


def _peaks(deflection: np.ndarray, power: np.ndarray, usual: np.ndarray, rate_hz: float) -> np.ndarray:
    """Samples (r_wave,) of the R waves."""
    from scipy.signal import find_peaks

    distance = max(1, round(SHORTEST_BEAT_S * rate_hz))
    found, _ = find_peaks(power, height=_LOWEST_SHARE * usual, distance=distance)
    reach = round(_QRS_S * rate_hz)
    around = np.clip(found[:, None] + np.arange(-reach, reach + 1), 0, len(power) - 1)
    nearby = np.abs(deflection)[around].argmax(axis=1)
    return np.unique(around[np.arange(len(found)), nearby])


def _plausible(r_waves_s: np.ndarray) -> np.ndarray:
    """The R waves, or none where their median distance is that of no heart."""
    if len(r_waves_s) < 2 or not SHORTEST_BEAT_S < np.median(np.diff(r_waves_s)) < LONGEST_BEAT_S:
        return np.empty(0)
    return r_waves_s
