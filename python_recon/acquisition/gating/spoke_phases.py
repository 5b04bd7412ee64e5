"""Cardiac phase and respiratory position of every spoke, and sorting by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.acquisition.gating.heartbeats import Heartbeats
from python_recon.acquisition.gating.r_waves import from_stamps
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.physiology import Physiology

_RESPIRATION_HZ = (0.1, 0.7)
"""Band in which people breathe."""


def heartbeats(kspace: KSpace) -> Heartbeats | None:
    """The beats during a slice; None where two are not known or the slice is shorter than that.

    R waves are those of the whole scan or, where they are not known, what the stamps of the frames tell.
    """
    if kspace.times_s is None:
        return None
    found = kspace.physiology.r_waves_s if kspace.physiology is not None else np.empty(0)
    if not found.size and kspace.physiology_s is not None:
        found = from_stamps(kspace.times_s, kspace.physiology_s[:, 0])
    if not found.size:
        return None
    beats = Heartbeats(found)
    return beats if np.ptp(kspace.times_s) >= 2 * beats.usual_s else None


def cardiac_phase(kspace: KSpace) -> np.ndarray | None:
    """Position of every spoke (frame, spoke) between two R waves, 0..1; see :class:`Heartbeats`.

    Padding has the phase of its frame. None where there are no R waves or fewer than two beats.
    """
    beats = heartbeats(kspace)
    if beats is None or kspace.spoke_times_s is None or kspace.times_s is None:
        return None
    return beats.phase(np.where(_is_there(kspace), kspace.spoke_times_s, kspace.times_s[:, None]))


def respiratory_position(kspace: KSpace) -> np.ndarray | None:
    """Position of every spoke (frame, spoke) in the breath, 0 at one end of it and 1 at the other.

    From the waveform of the breath where one covers the scan. Else self-gated: the first principal component,
    over coils, of the complex signal at the centre of k-space. Either without its slow drift (contrast
    agent), band-limited to breathing and replaced by its rank. Which end is inspiration is not known.
    Padding is put in the middle. None for scans shorter than one slow breath. After Feng et al.,
    doi:10.1002/mrm.25665.
    """
    if kspace.spoke_times_s is None:
        return None
    is_there = _is_there(kspace)
    times = kspace.spoke_times_s[is_there]
    if times.size == 0 or np.ptp(times) < 1 / _RESPIRATION_HZ[0]:
        return None
    order = np.argsort(times)
    curves = _waveform_curve(kspace.physiology, times)
    if curves is None:
        curves = _centre_curves(kspace, is_there)
    filtered = _band_limited(curves[order], float(np.ptp(times)) / (times.size - 1))
    component = np.linalg.svd(filtered, full_matrices=False)[0][:, 0]
    ranks = np.empty(times.size)
    ranks[order] = component.argsort().argsort() / (times.size - 1)
    position = np.full(is_there.shape, 0.5)
    position[is_there] = ranks
    return position


def _waveform_curve(physiology: Physiology | None, times_s: np.ndarray) -> np.ndarray | None:
    """The waveform of the breath at moments (time, 1); None where it does not tell of them."""
    breath = None if physiology is None else physiology.respiration
    if breath is None or not breath.covers(times_s):
        return None
    # Further channels hold triggers; the first one moves with the chest.
    curve = np.interp(times_s, breath.times_s, breath.data[0])
    return curve[:, None] if np.ptp(curve) > 0 else None


def _centre_curves(kspace: KSpace, is_there: np.ndarray) -> np.ndarray:
    """Signals (spoke, coil part) at the centre of k-space."""
    centre = np.linalg.norm(kspace.trajectory, axis=-1).argmin(-1)
    signals = np.take_along_axis(kspace.data, centre[:, None, :, None], -1)[..., 0]
    curves: np.ndarray = signals.transpose(0, 2, 1)[is_there].view(np.float32)
    return curves


def bins(position: np.ndarray, n_bins: int) -> np.ndarray:
    """Equal bins of 0..1."""
    numbers: np.ndarray = np.minimum((position * n_bins).astype(int), n_bins - 1)
    return numbers


def sort_spokes(kspace: KSpace, labels: np.ndarray, n_bins: int) -> KSpace:
    """The same spokes in other frames.

    Parameters
    ----------
    kspace
        NumPy arrays.
    labels
        (frame, spoke) new frame of every spoke; negative ones are left out, and so are borrowed ones.
    n_bins
        Number of new frames. Frames without a spoke stay empty: all of their spokes are masked.

    Raises
    ------
    DataError
        If no spoke is left.
    """
    flat = np.where(own_spokes(kspace), labels, -1).ravel()
    members = [np.flatnonzero(flat == label) for label in range(n_bins)]
    if not any(spokes.size for spokes in members):
        raise DataError("gating left no spoke; check the physiology time stamps")
    by_spoke = np.moveaxis(kspace.data, 1, 2).reshape(-1, kspace.n_coils, kspace.n_samples)
    times = kspace.spoke_times_s
    return replace(
        kspace,
        data=np.ascontiguousarray(np.moveaxis(_gathered(by_spoke, members), 2, 1)),
        trajectory=_gathered(kspace.trajectory.reshape(-1, kspace.n_samples, 2), members),
        spoke_mask=_gathered(np.ones(flat.size, bool), members),
        density=None,
        is_shared=None,
        spoke_times_s=None if times is None else _gathered(times.ravel(), members),
        times_s=None,
        physiology_s=None,
    )


def _gathered(values: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """(frame, spoke, ...) from values (spoke, ...) and the spokes of each frame; the rest is zero."""
    frames = np.zeros((len(members), max(map(len, members)), *values.shape[1:]), values.dtype)
    for frame, spokes in zip(frames, members, strict=True):
        frame[: len(spokes)] = values[spokes]
    return frames


def own_spokes(kspace: KSpace) -> np.ndarray:
    """(frame, spoke) bool, False for padding and for spokes borrowed from neighbouring frames."""
    there = _is_there(kspace)
    return there if kspace.is_shared is None else there & ~kspace.is_shared


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
