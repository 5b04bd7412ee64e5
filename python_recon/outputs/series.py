"""Series as a reader sees them: all frames of one slice and one kind of output in one piece."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np

from python_recon.data import Geometry, ImageSeries

TICK_S = 2.5e-3
"""Images carry times in whole steps of this."""
_GEOMETRY_TOLERANCE = 1e-3
"""Difference in mm, or of a direction's component, that is none."""


def join_series(parts: Iterable[ImageSeries]) -> list[ImageSeries]:
    """Put together what arrived in pieces, such as a preview that came frame by frame.

    Pieces belong together when their series index, slice, contrast and set, their matrix and their
    measurement agree and they lie in the same place: a scan that moves on to another geometry begins another
    series. Frames are ordered by their number, series by their index and then by the counters. The method
    is that of most frames; a frame that another rung of the ladder made says so in its comment.
    """
    groups: dict[tuple[Any, ...], list[ImageSeries]] = {}
    for part in parts:
        groups.setdefault(_identity(part), []).append(part)
    return sorted((_join(run) for group in groups.values() for run in _runs(group)), key=_order)


def by_kind(joined: Iterable[ImageSeries]) -> list[list[ImageSeries]]:
    """Joined series that make one series for a viewer: all slices, contrasts and sets of an output's kind.

    Where the matrix changes, another begins.
    """
    kinds: dict[tuple[Any, ...], list[ImageSeries]] = {}
    for each in joined:
        key = (each.series_index, each.images.shape[1:], each.measurement_id)
        kinds.setdefault(key, []).append(each)
    return list(kinds.values())


def title(series: ImageSeries) -> str:
    """Method and slice, and contrast and set where there are several, for a reader."""
    return ", ".join([series.method, *(f"{name} {number}" for name, number in _counters(series))])


def file_stems(series: Sequence[ImageSeries]) -> list[str]:
    """A file name without extension for each series, all of them different."""
    stems: list[str] = []
    for each in series:
        parts = [f"series_{each.series_index}", each.method, *(f"{n}_{i}" for n, i in _counters(each))]
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", "_".join(parts))
        repeats = sum(known == stem or known.startswith(f"{stem}_part_") for known in stems)
        stems.append(f"{stem}_part_{repeats + 1}" if repeats else stem)
    return stems


def evenly_taken(n_frames: int, at_most: int) -> np.ndarray:
    """Indices of at most ``at_most`` frames, first and last included, spread evenly."""
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, at_most)).round().astype(int))


def frame_interval_s(series: ImageSeries) -> float | None:
    """Time between frames; None where the times are not known.

    It is the mean where frames are evenly spaced, as far as stamps of whole ticks can tell, else the median:
    ticks of 2.5 ms show 39 ms as 40, mostly.
    """
    if series.times_s is None or series.n_frames < 2:
        return None
    steps = np.diff(series.times_s)
    interval = float(np.median(steps))
    if np.abs(steps - interval).max() <= 1.01 * TICK_S:
        interval = float(steps.mean())
    return interval if np.isfinite(interval) and interval > 0 else None


def _identity(part: ImageSeries) -> tuple[Any, ...]:
    matrix = part.images.shape[1:]
    return (part.series_index, *_counted(part), matrix, part.measurement_id)


def _runs(parts: Sequence[ImageSeries]) -> list[list[ImageSeries]]:
    """The parts in the order of their frames, cut where the geometry changes."""
    runs: list[list[ImageSeries]] = []
    for part in sorted(parts, key=lambda part: part.first_frame):
        if runs and _is_same_place(part.geometry, runs[-1][0].geometry):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _is_same_place(one: Geometry, other: Geometry) -> bool:
    # Scanners repeat their numbers to a few digits only.
    pairs = zip(astuple(one), astuple(other), strict=True)
    return all(np.allclose(mine, yours, rtol=0, atol=_GEOMETRY_TOLERANCE) for mine, yours in pairs)


def _counted(series: ImageSeries) -> tuple[int, int, int]:
    return series.counters.slice, series.counters.contrast, series.counters.set


def _order(series: ImageSeries) -> tuple[Any, ...]:
    return (series.series_index, *_counted(series), series.first_frame)


def _counters(series: ImageSeries) -> list[tuple[str, int]]:
    slice_number, contrast, set_number = _counted(series)
    others = [("contrast", contrast), ("set", set_number)]
    return [("slice", slice_number), *((name, number) for name, number in others if number)]


def _join(parts: Sequence[ImageSeries]) -> ImageSeries:
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        images=np.concatenate([part.images for part in parts]),
        method=Counter(part.method for part in parts for _ in part.images).most_common(1)[0][0],
        times_s=_stack([part.times_s for part in parts]),
        physiology_s=_stack([part.physiology_s for part in parts]),
        comment="; ".join(dict.fromkeys(part.comment for part in parts if part.comment)),
        details=_shared([part.details for part in parts]),
    )


def _shared(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all pieces say; seconds that differ are those of parts of the work, and are added up."""
    shared: dict[str, Any] = {}
    for key, value in details[0].items():
        values = [each.get(key) for each in details]
        if all(other == value for other in values):
            shared[key] = value
        elif key.startswith("seconds") and all(isinstance(other, int | float) for other in values):
            shared[key] = sum(set(values))  # frames that were made together say the same
    return shared


def _stack(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None
