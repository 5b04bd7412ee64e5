"""Recordings of a heart whose R waves are known."""

from __future__ import annotations

import numpy as np

from gadgets.simulation.physiology import ecg
from python_recon.physiology import Kind, Waveform

REGULAR = -0.3 + 0.85 * np.arange(40)


def irregular(seed=0, n=40):
    """Beats of 0.7 to 1.0 s; every seventh comes early, and the next one late."""
    lengths = np.random.default_rng(seed).uniform(0.8, 0.9, n)
    lengths[5::7], lengths[6::7] = 0.5, 1.2
    return -0.3 + np.cumsum(lengths)


def blocks(times, data, kind: Kind = "ecg", length_s=0.2, start_s=0.0) -> list[Waveform]:
    """A recording at even times, cut into blocks."""
    interval = times[1] - times[0]
    n = round(length_s / interval)
    starts = range(0, len(times), n)
    return [
        Waveform(kind, start_s + times[i], interval, data[:, i : i + n].astype(np.float32)) for i in starts
    ]


def ecg_blocks(r_waves, interval_s=2.5e-3, end_s=30.0, triggers=False, noise=0.0, seed=0, **how):
    """Blocks of an ECG, its counts made noisier by so many millivolts."""
    times = np.arange(-0.5, end_s, interval_s)
    counts = ecg(times, r_waves, seed).astype(np.float64)
    counts[:-1] += 400 * noise * np.random.default_rng(seed).standard_normal(counts[:-1].shape)
    return blocks(times, counts if triggers else counts[:-1], **how)


def distances(found, truth):
    """How far each R wave that was found is from the nearest true one."""
    return np.abs(found[:, None] - truth).min(axis=1)
