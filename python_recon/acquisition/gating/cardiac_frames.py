"""Retrospective gating: frames that are phases of the heartbeat, made of many beats."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from python_recon.acquisition.gating.heartbeats import Heartbeats
from python_recon.acquisition.gating.spoke_phases import (
    bins,
    cardiac_phase,
    heartbeats,
    own_spokes,
    sort_spokes,
)
from python_recon.config import BinningConfig
from python_recon.data import KSpace
from python_recon.physiology import Physiology

_log = logging.getLogger(__name__)


def gate(kspace: KSpace, physiology: Physiology, config: BinningConfig) -> KSpace:
    """All frames of a slice with what is known of heart and breath, sorted by the heart where that is asked.

    Stamps that the readouts lacked are filled in.
    """
    kspace = replace(kspace, physiology=physiology)
    beats = heartbeats(kspace)
    if beats is not None and physiology.source != "stamps" and kspace.times_s is not None:
        stamps = np.zeros((kspace.n_frames, 3)) if kspace.physiology_s is None else kspace.physiology_s.copy()
        stamps[:, 0] = beats.since_r_wave_s(kspace.times_s)
        kspace = replace(kspace, physiology_s=stamps)
    return cardiac_frames(kspace, config) if config.by == "cardiac" else kspace


def cardiac_frames(kspace: KSpace, config: BinningConfig) -> KSpace:
    """The spokes of all regular beats, sorted into phases of the beat.

    Beats whose length departs from the usual one by more than ``beat_tolerance`` are left out, and so is
    what lies more than a beat away from all R waves. There are fewer phases than asked for where some would
    stay empty. Times become those of one beat of the usual length that begins with the first R wave. Where
    R waves are missing, the frames stay as they are. What was done is logged, and told in the comment.
    """
    phase, beats = cardiac_phase(kspace), heartbeats(kspace)
    if phase is None or beats is None or kspace.spoke_times_s is None:
        return _by_time(kspace, "fewer than two heartbeats were found")
    regular = beats.is_regular(config.beat_tolerance)
    usable = own_spokes(kspace) & beats.lies_in(kspace.spoke_times_s, regular)
    n_phases = _n_filled(phase[usable], config.cardiac_phases)
    if n_phases == 0:
        return _by_time(kspace, "no spoke lies in a regular beat")
    labels = np.where(usable, bins(phase, n_phases), -1)
    told = f"{n_phases} cardiac phases, {_account(kspace, beats, regular)}"
    if n_phases < config.cardiac_phases:
        told += f"; {config.cardiac_phases} phases were asked for, but some would have no spoke"
    _log.info("slice %d: %s", kspace.counters.slice, told)
    return replace(_one_beat(kspace, labels, phase, beats, n_phases), comment=_joined(kspace.comment, told))


def _account(kspace: KSpace, beats: Heartbeats, regular: np.ndarray) -> str:
    """What became of the beats during the slice, of which some (beat,) are regular."""
    own = own_spokes(kspace)
    seen = beats.holds(kspace.spoke_times_s[own]) if kspace.spoke_times_s is not None else regular
    source = kspace.physiology.source if kspace.physiology is not None else ""
    n_regular, n_rejected = (regular & seen).sum(), (~regular & seen).sum()
    told = f"{n_regular} beats of {beats.usual_s:.2f} s ({source or 'stamps'})"
    return f"{told}, {n_rejected} beats rejected as irregular" if n_rejected else told


def _by_time(kspace: KSpace, reason: str) -> KSpace:
    told = f"{reason}: the frames are those of time"
    _log.warning("slice %d: %s", kspace.counters.slice, told)
    return replace(kspace, comment=_joined(kspace.comment, told))


def _joined(*comments: str) -> str:
    return "; ".join(filter(None, comments))


def _n_filled(phase: np.ndarray, most: int) -> int:
    """The largest number of phases, up to ``most``, each of which has a spoke; 0 where there is no spoke."""
    filled = (n for n in range(most, 0, -1) if len(np.unique(bins(phase, n))) == n)
    return next(filled, 0)


def _one_beat(
    kspace: KSpace, labels: np.ndarray, phase: np.ndarray, beats: Heartbeats, n_phases: int
) -> KSpace:
    """The spokes in their phases, as if one beat had been scanned."""
    begin_s = beats.r_waves_s[0]
    moved = replace(kspace, spoke_times_s=begin_s + phase * beats.usual_s)
    since_r_wave_s = (np.arange(n_phases) + 0.5) / n_phases * beats.usual_s
    return replace(
        sort_spokes(moved, labels, n_phases),
        times_s=begin_s + since_r_wave_s,
        physiology_s=np.stack([since_r_wave_s, 0 * since_r_wave_s, 0 * since_r_wave_s], axis=1),
        is_periodic=True,
        physiology=None,
        first_frame=0,
    )
