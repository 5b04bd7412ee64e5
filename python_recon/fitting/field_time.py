"""The time of a field: of the scan, of the beat or of the breath, as far as the scan tells."""

from __future__ import annotations

import logging

import numpy as np

from python_recon.acquisition.gating.spoke_phases import heartbeats, respiratory_position
from python_recon.acquisition.spokes import has_clock, own_spokes, spoke_times
from python_recon.data import KSpace
from python_recon.fields.time_axis import RESPIRATORY_SPAN, TimeAxis, respiratory_coordinate

_log = logging.getLogger(__name__)


def time_axis(kspace: KSpace, kind: str, *, wraps: bool = False) -> tuple[TimeAxis, str]:
    """Time coordinate of a field, and why it is not the one that was asked for; empty where it is.

    Frames that are phases of the beat have the time of that beat, whatever was asked for. Where the signal
    for another time is missing, the time is that of the scan, which is logged, too.

    Parameters
    ----------
    kspace
        Prepared.
    kind
        scan, cardiac or breathing.
    wraps
        Whether the field's functions of time have a period of 1: the breath then takes half of it, so that
        its ends are told apart.
    """
    if kspace.is_periodic:
        lack = "the frames are phases of the beat: the field's time is that of the beat"
        return _of_one_beat(kspace), lack if kind == "breathing" else ""
    axis, lack = None, ""
    if kind == "cardiac":
        axis, lack = _of_beats(kspace), "fewer than two heartbeats were found"
    elif kind == "breathing":
        axis, lack = _of_breath(kspace, wraps), "no breathing was found"
    if axis is not None:
        return axis, ""
    if lack:
        lack = f"{lack}: the field's time is that of the scan"
        _log.warning("slice %d: %s", kspace.counters.slice, lack)
    return _of_scan(kspace), lack


def _of_scan(kspace: KSpace) -> TimeAxis:
    times = _own_times(kspace)
    return TimeAxis.from_times(times) if np.ptp(times) > 0 else TimeAxis("plain", float(times.min()), 1.0)


def _of_one_beat(kspace: KSpace) -> TimeAxis:
    """Of frames that were sorted by the heart, whose phases fill one beat evenly."""
    if kspace.times_s is None or kspace.physiology_s is None or not has_clock(kspace):
        return TimeAxis("periodic", 0.0, float(kspace.n_frames))
    since_s = kspace.physiology_s[:, 0]
    return TimeAxis("periodic", float(kspace.times_s[0] - since_s[0]), 2 * float(since_s.mean()))


def _of_beats(kspace: KSpace) -> TimeAxis | None:
    beats = heartbeats(kspace) if has_clock(kspace) else None
    return None if beats is None else TimeAxis.from_r_waves(beats.r_waves_s)


def _of_breath(kspace: KSpace, wraps: bool) -> TimeAxis | None:
    position = respiratory_position(kspace.to_numpy()) if has_clock(kspace) else None
    if position is None:
        return None
    times, own = _own_times(kspace), position[own_spokes(kspace)]
    if wraps:
        return TimeAxis.from_navigator(times, respiratory_coordinate(own, times), RESPIRATORY_SPAN)
    return TimeAxis.from_navigator(times, own)


def _own_times(kspace: KSpace) -> np.ndarray:
    """Of the spokes (spoke,); padding has no time."""
    times: np.ndarray = spoke_times(kspace)[own_spokes(kspace)]
    return times
