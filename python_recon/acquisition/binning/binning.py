"""Readouts to frames of k-space."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from python_recon.acquisition.binning.beat_rule import BeatPhases
from python_recon.acquisition.binning.frame_rules import (
    Counted,
    FrameRule,
    Phases,
    Repetitions,
    SpokeWindows,
)
from python_recon.acquisition.binning.runs import NumberedCut, Stream
from python_recon.acquisition.encoding import encoding_of
from python_recon.acquisition.spoke_index import StreamKey, stream_key
from python_recon.config import BinningConfig
from python_recon.data import KSpace, Readout, Scan
from python_recon.errors import DataError, ShapeError

logger = logging.getLogger(__name__)

_DEFAULT_SPOKES = 34
_SPOKES_PARAMETERS = ("spokes_per_frame", "profiles_per_frame")


def bin_frames(
    readouts: Iterable[Readout], scan: Scan, config: BinningConfig, matrix: tuple[int, int]
) -> Iterator[KSpace]:
    """Single frames of k-space, each as soon as it is complete.

    Every (slice, contrast, set) is cut by itself. ``first_frame`` follows the counters of the sequence
    (spoke window, repetition or phase) or the beats of the heart, so a frame that was lost leaves a gap.
    Where geometry, coils or sample count change in mid-scan, a new ``run`` begins; where they come back, as
    those of slices that share a label, each run goes on. Slices that differ in their place alone are of one
    run, with numbers beyond all labels. Frames that the heart shall sort in retrospect are cut by time.

    A frame with less than ``minimum_fraction`` of its spokes is left out with a warning; one with more
    comes with the spokes that are there. Where nothing tells its number, a frame by repetition is compared
    with the median of those before it (the first with the second), a frame by phase with that of all.

    Parameters
    ----------
    readouts
        Located readouts.
    scan
        The header.
    config
        What makes a frame.
    matrix
        Image matrix (y, x) of the k-space.

    Raises
    ------
    DataError
        If no readout came, or none of the frames had enough spokes.
    """
    streams: dict[StreamKey, Stream] = {}
    calibration = _CalibrationLines()
    n_readouts = n_frames = 0
    for readout in readouts:
        if readout.is_calibration:
            calibration.add(readout)
            continue
        n_readouts += 1
        key = stream_key(readout)
        if key not in streams:
            streams[key] = Stream(key, _rule(scan, config, readout), config.minimum_fraction)
        for cut in streams[key].add(readout):
            n_frames += 1
            yield calibration.beside(_frame(cut, _n_labels(scan, streams), scan, matrix))
    for stream in streams.values():
        for cut in stream.finish():
            n_frames += 1
            yield calibration.beside(_frame(cut, _n_labels(scan, streams), scan, matrix))
    _check_yield(n_readouts, n_frames, config)


def stack_frames(frames: Sequence[KSpace]) -> KSpace:
    """Frames of one run in one k-space, padded to the largest number of spokes.

    Raises
    ------
    ShapeError
        If there is none, or if coils, samples or matrix differ.
    """
    _check_fit(frames)
    n_frames, n_spokes = sum(f.n_frames for f in frames), max(f.n_spokes for f in frames)
    first = frames[0]
    is_ragged = any(f.n_spokes != n_spokes or f.spoke_mask is not None for f in frames)
    calibrations = [f.calibration for f in frames if f.calibration is not None]
    return replace(
        first,
        calibration=calibrations[-1] if calibrations else None,
        data=_padded([f.data for f in frames], (n_frames, first.n_coils, n_spokes, first.n_samples)),
        trajectory=_padded([f.trajectory for f in frames], (n_frames, n_spokes, first.n_samples, 2)),
        density=_padded_if_any([f.density for f in frames], (n_frames, n_spokes, first.n_samples)),
        spoke_mask=_padded(list(map(_mask, frames)), (n_frames, n_spokes)) if is_ragged else None,
        is_shared=_padded(list(map(_shared, frames)), (n_frames, n_spokes))
        if any(f.is_shared is not None for f in frames)
        else None,
        spoke_times_s=_padded_if_any([f.spoke_times_s for f in frames], (n_frames, n_spokes)),
        times_s=_concatenated([f.times_s for f in frames]),
        physiology_s=_concatenated([f.physiology_s for f in frames]),
        frame_states=_concatenated([f.frame_states for f in frames]),
        comment="; ".join(dict.fromkeys(f.comment for f in frames if f.comment)),
    )


def _rule(scan: Scan, config: BinningConfig, first: Readout) -> Callable[[], FrameRule]:
    by: str = config.by
    if by == "auto" and config.spokes_per_frame is None and not encoding_of(first).READOUTS_ARE_ALIKE:
        return Counted
    if by == "beat":
        return lambda: BeatPhases(config.cardiac_phases)
    if by in ("auto", "cardiac") and config.spokes_per_frame is None:
        # Phases are complete at the end only: frames that are sorted by the heart later must be cut by time.
        announced = ("phase", "repetition") if by == "auto" else ("repetition",)
        by = next((name for name in announced if scan.limits.get(name, 0) > 0), "spokes")
        logger.info("frames are cut by %s, as the header's limits suggest", by)
    if by == "phase":
        return Phases
    if by == "repetition":
        limit = scan.limits.get("kspace_encode_step_1", 0)
        return lambda: Repetitions(limit + 1 if limit > 0 else None)
    if config.by == "cardiac":
        length = config.spokes_per_frame or _announced_spokes(scan)
        return lambda: SpokeWindows(length, length, 0)
    length = config.spokes_per_frame or _still_spokes(scan) or _announced_spokes(scan)
    return lambda: SpokeWindows(length, config.step or length, config.shared_spokes)


def _still_spokes(scan: Scan) -> int | None:
    """Spokes of the one frame that the header's limits announce; None where they do not.

    A single repetition of more spokes than twice what Nyquist demands is taken to be a series in time.
    """
    n_spokes = scan.limits.get("kspace_encode_step_1", 0) + 1
    is_single = scan.limits.get("repetition") == 0 and n_spokes > 1
    if not is_single or any(name in scan.user_parameters for name in _SPOKES_PARAMETERS):
        return None
    if n_spokes > math.pi * max(scan.matrix):
        return None
    logger.info(
        "one frame of %d spokes, as the header's limits announce; for more, set binning.spokes_per_frame",
        n_spokes,
    )
    return n_spokes


def _announced_spokes(scan: Scan) -> int:
    for name in _SPOKES_PARAMETERS:
        value = scan.user_parameters.get(name)
        if isinstance(value, (int, float)) and value >= 1:
            logger.info("%d spokes a frame, from the header's %s", value, name)
            return int(value)
    logger.warning(
        "the number of spokes of a frame is not known: taking %d; set binning.spokes_per_frame",
        _DEFAULT_SPOKES,
    )
    return _DEFAULT_SPOKES


def _check_yield(n_readouts: int, n_frames: int, config: BinningConfig) -> None:
    if n_readouts == 0:
        raise DataError("the scan is empty: not one imaging readout came")
    if n_frames == 0:
        raise DataError(
            f"{n_readouts} readouts fill no frame to {config.minimum_fraction:.0%}: lower "
            "binning.spokes_per_frame or binning.minimum_fraction, or look for lost readouts"
        )


def _n_labels(scan: Scan, streams: Iterable[StreamKey]) -> int:
    """Slices that the header's limits and the readouts so far tell by their labels."""
    return max(scan.limits.get("slice", 0), *(label for label, _, _ in streams)) + 1


def _frame(numbered: NumberedCut, n_labels: int, scan: Scan, matrix: tuple[int, int]) -> KSpace:
    cut, counters = numbered.cut, numbered.cut.own[0].counters
    readouts = [*cut.before, *cut.own, *cut.after]
    middle = cut.own[len(cut.own) // 2]
    is_shared = np.ones((1, len(readouts)), bool)
    is_shared[0, len(cut.before) : len(cut.before) + len(cut.own)] = False
    return KSpace(
        data=np.stack([r.data for r in readouts], axis=1)[None].astype(np.complex64, copy=False),
        trajectory=np.stack([r.trajectory for r in readouts if r.trajectory is not None])[None],
        matrix=middle.matrix or matrix,
        encoding=middle.encoding,
        image_matrix=None if middle.matrix in (None, matrix) else matrix,
        is_shared=is_shared if is_shared.any() else None,
        noise=middle.noise,
        spoke_times_s=np.array([[r.time_s for r in readouts]]),
        times_s=np.array([np.mean([r.time_s for r in cut.own])]),
        physiology_s=np.array([middle.physiology_s], np.float64),
        geometry=middle.geometry,
        counters=replace(counters, slice=counters.slice + numbered.place * n_labels),
        measurement_id=scan.measurement_id,
        first_frame=numbered.number,
        comment=cut.comment,
        run=numbered.run,
    )


class _CalibrationLines:
    """The readouts for coil maps of every slice so far; frames that have the same share them in memory."""

    def __init__(self) -> None:
        self._lines: dict[int, list[Readout]] = {}
        self._stacked: dict[tuple[int, int, int], dict[str, Any]] = {}

    def add(self, readout: Readout) -> None:
        self._lines.setdefault(readout.counters.slice, []).append(readout)
        self._stacked.clear()

    def beside(self, frame: KSpace) -> KSpace:
        """The frame with those of its slice, where they fit it."""
        key = (frame.counters.slice, frame.n_coils, frame.n_samples)
        if key not in self._stacked:
            self._stacked[key] = self._stack(*key)
        if not self._stacked[key]:
            return frame
        return replace(frame, calibration=replace(frame, is_shared=None, **self._stacked[key]))

    def _stack(self, label: int, *usual: int) -> dict[str, Any]:
        """Arrays of a k-space; empty where there are no such readouts."""
        own = [r for r in self._lines.get(label, ()) if r.data.shape == usual]
        places = [r.trajectory for r in own if r.trajectory is not None]
        if not places:
            return {}
        return {
            "data": np.stack([r.data for r in own], axis=1)[None],
            "trajectory": np.stack(places)[None],
            "spoke_times_s": np.array([[r.time_s for r in own]]),
        }


def _check_fit(frames: Sequence[KSpace]) -> None:
    if not frames:
        raise ShapeError("there is no frame to stack")
    kinds = {(f.n_coils, f.n_samples, f.matrix) for f in frames}
    if len(kinds) > 1:
        raise ShapeError(
            f"frames differ in (coils, samples, matrix): {sorted(kinds)}; stack each run by itself"
        )


def _mask(frame: KSpace) -> np.ndarray:
    return _or_full(frame.spoke_mask, frame, value=True)


def _shared(frame: KSpace) -> np.ndarray:
    return _or_full(frame.is_shared, frame, value=False)


def _or_full(flags: np.ndarray | None, frame: KSpace, *, value: bool) -> np.ndarray:
    return np.full((frame.n_frames, frame.n_spokes), value) if flags is None else flags


def _padded(parts: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The parts one after the other along the first axis, each filling the low end of the others."""
    whole = np.zeros(shape, parts[0].dtype)
    start = 0
    for part in parts:
        whole[(slice(start, start + len(part)), *map(slice, part.shape[1:]))] = part
        start += len(part)
    return whole


def _padded_if_any(parts: Sequence[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray | None:
    present = [part for part in parts if part is not None]
    return _padded(present, shape) if len(present) == len(parts) else None


def _concatenated(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None
