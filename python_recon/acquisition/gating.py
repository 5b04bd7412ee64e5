"""Retrospective gating: cardiac phase and respiratory position of every spoke, and sorting by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.data import KSpace
from python_recon.errors import DataError

_RESPIRATION_HZ = (0.1, 0.7)
"""Band in which people breathe."""


def cardiac_phase(kspace: KSpace) -> np.ndarray | None:
    """Position of every spoke (frame, spoke) between two R waves, 0..1.

    From the time since the last R wave, stamped on the frames: where it falls back, a beat begins. Every beat
    is stretched to 0..1 by its own length; one of several times the median length, in which the trigger was
    missed, counts as that many beats. Padding has the phase of its frame. None where there are no stamps or
    fewer than two beats.
    """
    if kspace.physiology_s is None or kspace.spoke_times_s is None or kspace.times_s is None:
        return None
    since_r_wave = kspace.physiology_s[:, 0]
    cycle = _cycle_lengths(kspace.times_s, since_r_wave)
    if cycle is None or np.ptp(kspace.times_s) < 2 * np.median(cycle):
        return None
    from_middle = np.where(_is_there(kspace), kspace.spoke_times_s - kspace.times_s[:, None], 0.0)
    phase: np.ndarray = (since_r_wave[:, None] + from_middle) / cycle[:, None] % 1.0
    return phase


def respiratory_position(kspace: KSpace) -> np.ndarray | None:
    """Self-gated position of every spoke (frame, spoke), 0 at one end of the breath and 1 at the other.

    The first principal component, over coils, of the complex signal at the centre of k-space, without its
    slow drift (contrast agent), band-limited to breathing and replaced by its rank. Which end is inspiration
    is not known. Padding is put in the middle. None for scans shorter than one slow breath. After Feng et
    al., doi:10.1002/mrm.25665.
    """
    if kspace.spoke_times_s is None:
        return None
    is_there = _is_there(kspace)
    times = kspace.spoke_times_s[is_there]
    if times.size == 0 or np.ptp(times) < 1 / _RESPIRATION_HZ[0]:
        return None
    centre = np.linalg.norm(kspace.trajectory, axis=-1).argmin(-1)
    signals = np.take_along_axis(kspace.data, centre[:, None, :, None], -1)[..., 0]
    curves = signals.transpose(0, 2, 1)[is_there].view(np.float32)
    order = np.argsort(times)
    filtered = _band_limited(curves[order], float(np.ptp(times)) / (times.size - 1))
    component = np.linalg.svd(filtered, full_matrices=False)[0][:, 0]
    ranks = np.empty(times.size)
    ranks[order] = component.argsort().argsort() / (times.size - 1)
    position = np.full(is_there.shape, 0.5)
    position[is_there] = ranks
    return position


def sort_spokes(kspace: KSpace, labels: np.ndarray, n_bins: int) -> KSpace:
    """The same spokes in other frames.

    Parameters
    ----------
    kspace
        NumPy arrays.
    labels
        (frame, spoke) new frame of every spoke; negative ones are left out.
    n_bins
        Number of new frames. Frames without a spoke stay empty: all of their spokes are masked.

    Raises
    ------
    DataError
        If no spoke is left.
    """
    flat = np.where(_is_there(kspace), labels, -1).ravel()
    members = [np.flatnonzero(flat == label) for label in range(n_bins)]
    n_spokes = max(len(spokes) for spokes in members)
    if n_spokes == 0:
        raise DataError("gating left no spoke; check the physiology time stamps")
    data = np.zeros((n_bins, kspace.n_coils, n_spokes, kspace.n_samples), np.complex64)
    trajectory = np.zeros((n_bins, n_spokes, kspace.n_samples, 2), np.float32)
    filled = np.zeros((n_bins, n_spokes), bool)
    source = kspace.data.transpose(0, 2, 1, 3).reshape(-1, kspace.n_coils, kspace.n_samples)
    for label, spokes in enumerate(members):
        data[label, :, : len(spokes)] = source[spokes].transpose(1, 0, 2)
        trajectory[label, : len(spokes)] = kspace.trajectory.reshape(-1, kspace.n_samples, 2)[spokes]
        filled[label, : len(spokes)] = True
    return replace(
        kspace,
        data=data,
        trajectory=trajectory,
        spoke_mask=filled,
        density=None,
        is_shared=None,
        spoke_times_s=None,
        times_s=None,
        physiology_s=None,
    )


def _cycle_lengths(times_s: np.ndarray, since_r_wave: np.ndarray) -> np.ndarray | None:
    """Length (frame,) of the heart beat that each frame lies in; None where no whole beat was seen."""
    order = np.argsort(times_s, kind="stable")
    stamps, r_waves = since_r_wave[order], (times_s - since_r_wave)[order]
    beat = np.concatenate([[0], np.cumsum(np.diff(stamps) < 0)])
    starts = np.array([np.median(r_waves[beat == number]) for number in range(beat[-1] + 1)])
    lengths = np.diff(starts)
    if not (lengths > 0).any():
        return None
    # The lower median: a missed trigger lengthens a beat, and of two beats it may be one.
    usual = np.quantile(lengths[lengths > 0], 0.5, method="lower")
    seen_of_last = stamps[beat == beat[-1]].max()
    lengths = np.append(np.where(lengths > 0, lengths, usual), seen_of_last)
    n_beats = np.maximum(np.rint(lengths / usual), 1)
    # The end of the last beat was not seen: it is as long as usual, or as what was seen of it.
    lengths[-1] = max(seen_of_last, n_beats[-1] * usual)
    cycle = np.empty(len(order))
    cycle[order] = (lengths / n_beats)[beat]
    return cycle


def _is_there(kspace: KSpace) -> np.ndarray:
    """(frame, spoke) bool, False for padding."""
    if kspace.spoke_mask is None:
        return np.ones((kspace.n_frames, kspace.n_spokes), bool)
    mask: np.ndarray = kspace.spoke_mask
    return mask


def _band_limited(curves: np.ndarray, step_s: float) -> np.ndarray:
    """Curves (time, signal) within the band of breathing, a cubic drift taken away."""
    drifts = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(curves)), 3)
    steady = curves - drifts @ np.linalg.lstsq(drifts, curves, rcond=None)[0]
    spectrum = np.fft.rfft(steady, axis=0)
    frequency = np.fft.rfftfreq(len(curves), step_s)
    spectrum[(frequency < _RESPIRATION_HZ[0]) | (frequency > _RESPIRATION_HZ[1])] = 0
    filtered: np.ndarray = np.fft.irfft(spectrum, len(curves), axis=0)
    return filtered
