"""ECG and breath of a simulated scan, as a scanner's monitoring unit records them."""

from __future__ import annotations

import numpy as np
from ismrmrd.hdf5 import waveform_dtype

from gadgets.files.headers import FIRST_TICK
from gadgets.simulation.options import SimulateOptions
from gadgets.translate.clock import TICK_S
from gadgets.translate.waveforms import KINDS
from python_recon.phantom import Phantom
from python_recon.physiology import Kind

ECG_INTERVAL_S, BREATH_INTERVAL_S = 2.5e-3, 8e-3
_BLOCK_S = 0.2
"""Time that is sent at once."""
_BEFORE_S = 0.5
"""The record begins before the scan."""
_EARLY = 0.6
"""Length of an early beat, and what the late one after it has in addition."""

_WAVES = {
    "P": (-0.16, 0.020, (0.12, 0.15, 0.10, 0.05)),
    "Q": (-0.025, 0.008, (-0.10, -0.15, -0.08, -0.02)),
    "R": (0.0, 0.011, (0.9, 1.2, 0.7, -0.5)),
    "S": (0.028, 0.010, (-0.25, -0.20, -0.30, 0.30)),
    "T": (0.26, 0.045, (0.55, 0.85, 0.40, 0.30)),
}
"""Centre and width (standard deviation) in s, and mV in each lead. T waves are those of a magnet, whose field
adds the voltage of the blood that flows."""
_COUNTS_PER_MV, _OFFSET = 400, 2048


def irregular_r_waves(options: SimulateOptions, end_s: float) -> tuple[float, ...]:
    """R waves of a heart of which a share of the beats comes early, each followed by a late one."""
    usual_s = 60 / options.heart_rate
    generator = np.random.default_rng([options.seed, 5])
    r_waves = [-2 * usual_s + generator.uniform(-0.5, 0.5) * usual_s]
    while r_waves[-1] < end_s + usual_s:
        is_early = generator.uniform() < options.arrhythmia
        lengths = (_EARLY, 2 - _EARLY) if is_early else (1.0,)
        r_waves.extend(r_waves[-1] + usual_s * np.cumsum(lengths))
    return tuple(r_waves)


def waveform_rows(options: SimulateOptions, phantom: Phantom, end_s: float) -> np.ndarray:
    """The blocks of all waveforms of a scan that ends at ``end_s``, by their time, as rows of its file."""
    blocks = []
    if options.cardiac_signal in ("ecg", "both"):
        times = np.arange(-_BEFORE_S, end_s + _BEFORE_S, ECG_INTERVAL_S)
        counts = ecg(times, phantom.r_waves_until(end_s + _BEFORE_S), options.seed)
        counts = counts if options.ecg_triggers else counts[:-1]
        blocks += _blocks("ecg", times, counts)
    if options.respiratory_signal:
        times = np.arange(-_BEFORE_S, end_s + _BEFORE_S, BREATH_INTERVAL_S)
        blocks += _blocks("respiration", times, breath(times, phantom, options.seed))
    rows = np.concatenate(blocks) if blocks else np.empty(0, waveform_dtype)
    return rows[np.argsort(rows["head"]["time_stamp"], kind="stable")]


def ecg(times_s: np.ndarray, r_waves_s: np.ndarray, seed: int = 0) -> np.ndarray:
    """(lead, sample) uint32: four leads in a magnet, and the triggers of the scanner as the last channel."""
    generator = np.random.default_rng([seed, 6])
    millivolts = 0.03 * generator.standard_normal((4, len(times_s)))
    millivolts += 0.3 * np.sin(2 * np.pi * 0.25 * times_s)  # the baseline follows the breath
    for centre_s, width_s, amplitudes in _WAVES.values():
        since = times_s - (r_waves_s + centre_s)[:, None]
        wave = np.exp(-0.5 * (since / width_s) ** 2).sum(axis=0)
        millivolts += np.outer(amplitudes, wave)
    since_trigger = times_s - r_waves_s[:, None]
    triggers = ((since_trigger >= 0) & (since_trigger < 0.02)).any(axis=0)
    counts = np.rint(_OFFSET + _COUNTS_PER_MV * millivolts).astype(np.int32).view(np.uint32)
    return np.vstack([counts, triggers.astype(np.uint32)])


def breath(times_s: np.ndarray, phantom: Phantom, seed: int = 0) -> np.ndarray:
    """(1, sample) uint32 of a bellows around the chest."""
    generator = np.random.default_rng([seed, 7])
    wanders = 100 * np.sin(2 * np.pi * times_s / 60) + 10 * generator.standard_normal(len(times_s))
    counts = 1000 + 800 * phantom.inspiration(times_s) + wanders
    return np.rint(counts)[None].astype(np.uint32)


def _blocks(kind: Kind, times_s: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Rows of one block each."""
    interval_s = times_s[1] - times_s[0]
    n_samples = max(round(_BLOCK_S / interval_s), 1)
    return [
        _row(kind, times_s[start], interval_s, counts[:, start : start + n_samples])
        for start in range(0, len(times_s), n_samples)
    ]


def _row(kind: Kind, start_s: float, interval_s: float, counts: np.ndarray) -> np.ndarray:
    row = np.zeros(1, waveform_dtype)
    head = row["head"]
    head["version"], head["waveform_id"] = 1, KINDS.index(kind)
    head["channels"], head["number_of_samples"] = counts.shape
    head["sample_time_us"] = interval_s * 1e6
    head["time_stamp"] = FIRST_TICK + round(start_s / TICK_S)
    row["data"][0] = np.ascontiguousarray(counts).ravel()
    return row
