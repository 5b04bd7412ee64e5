"""Readouts to frames of k-space."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from python_recon.acquisition.binning.beat_rule import BeatPhases
from python_recon.acquisition.binning.frame_rules import Cut, FrameRule, Phases, Repetitions, SpokeWindows
from python_recon.acquisition.spoke_index import StreamKey, stream_key
from python_recon.config import BinningConfig
from python_recon.data import Geometry, KSpace, Readout, Scan
from python_recon.errors import DataError, ShapeError

logger = logging.getLogger(__name__)

_DEFAULT_SPOKES = 34
_SPOKES_PARAMETERS = ("spokes_per_frame", "profiles_per_frame")
_POSITION_TOLERANCE_MM = 0.1
_DIRECTION_TOLERANCE = 1e-3


def bin_frames(
    readouts: Iterable[Readout], scan: Scan, config: BinningConfig, matrix: tuple[int, int]
) -> Iterator[KSpace]:
    """Single frames of k-space, each as soon as it is complete.

    Every (slice, contrast, set) is cut by itself. ``first_frame`` follows the counters of the sequence
    (spoke window, repetition or phase) or the beats of the heart, so a frame that was lost leaves a gap.
    Where geometry, coils or sample count change in mid-scan, the open frame is closed and ``run`` rises
    by one. Frames that the heart shall sort in retrospect are cut by time.

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
    new_rule = _rule(scan, config)
    streams: dict[StreamKey, _Stream] = {}
    n_readouts = n_frames = 0
    for readout in readouts:
        n_readouts += 1
        key = stream_key(readout)
        if key not in streams:
            streams[key] = _Stream(key, new_rule, config.minimum_fraction)
        for number, run, cut in streams[key].add(readout):
            n_frames += 1
            yield _frame(cut, number, run, scan, matrix)
    for stream in streams.values():
        for number, run, cut in stream.finish():
            n_frames += 1
            yield _frame(cut, number, run, scan, matrix)
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
    return replace(
        first,
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


class _Stream:
    """Cuts one (slice, contrast, set), run by run, and keeps account of what is missing."""

    def __init__(self, key: StreamKey, new_rule: Callable[[], FrameRule], minimum_fraction: float) -> None:
        self._name = "slice {}, contrast {}, set {}".format(*key)
        self._new_rule = new_rule
        self._rule = new_rule()
        self._minimum_fraction = minimum_fraction
        self._reference: Readout | None = None
        self._run = 0
        self._next_number = 0
        self._n_missing = self._n_incomplete = 0

    def add(self, readout: Readout) -> Iterator[tuple[int, int, Cut]]:
        change = self._change(readout)
        if change:
            logger.warning(
                "%s: %s at readout %d: a new run of frames begins", self._name, change, readout.scan_counter
            )
            yield from self._close_run()
        if self._reference is None:
            self._reference = readout
        yield from self._accepted(self._rule.add(readout))

    def finish(self) -> Iterator[tuple[int, int, Cut]]:
        yield from self._close_run()
        if self._n_missing:
            logger.warning(
                "%s: %d spokes are missing in %d frames", self._name, self._n_missing, self._n_incomplete
            )

    def _close_run(self) -> Iterator[tuple[int, int, Cut]]:
        yield from self._accepted(self._rule.flush())
        if self._rule.n_unused:
            logger.warning("%s: %d readouts are in no frame", self._name, self._rule.n_unused)
        self._rule = self._new_rule()
        self._reference = None
        self._run += 1

    def _accepted(self, cuts: Iterable[Cut]) -> Iterator[tuple[int, int, Cut]]:
        for cut in cuts:
            reference = cut.expected or cut.typical or 0
            if len(cut.own) < self._minimum_fraction * reference:
                logger.warning(
                    "%s: frame %d left out, it has only %d of %d spokes",
                    self._name,
                    cut.number,
                    len(cut.own),
                    reference,
                )
                continue
            if cut.expected and len(cut.own) < cut.expected:
                self._n_missing += cut.expected - len(cut.own)
                self._n_incomplete += 1
            number = max(cut.number, self._next_number)
            self._next_number = number + 1
            yield number, self._run, cut

    def _change(self, readout: Readout) -> str:
        """What makes this readout the first of a new run; empty if nothing does."""
        reference = self._reference
        if reference is None:
            return ""
        if readout.n_coils != reference.n_coils:
            return f"{readout.n_coils} coils after {reference.n_coils}"
        if readout.channel_mask != reference.channel_mask:
            return "other coils"
        if readout.n_samples != reference.n_samples:
            return f"{readout.n_samples} samples after {reference.n_samples}"
        if not _is_same_place(readout.geometry, reference.geometry):
            return "another geometry"
        return "the spokes are counted anew" if self._rule.starts_anew(readout) else ""


def _is_same_place(one: Geometry, other: Geometry) -> bool:
    if one == other:
        return True
    lengths = ("position_mm", "table_position_mm", "field_of_view_mm")
    directions = ("read_dir", "phase_dir", "slice_dir")
    return _are_close(one, other, lengths, _POSITION_TOLERANCE_MM) and _are_close(
        one, other, directions, _DIRECTION_TOLERANCE
    )


def _are_close(one: Geometry, other: Geometry, names: Sequence[str], tolerance: float) -> bool:
    return all(np.allclose(getattr(one, n), getattr(other, n), rtol=0, atol=tolerance) for n in names)


def _rule(scan: Scan, config: BinningConfig) -> Callable[[], FrameRule]:
    by: str = config.by
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
    length = config.spokes_per_frame or _announced_spokes(scan)
    if config.by == "cardiac":
        return lambda: SpokeWindows(length, length, 0)
    return lambda: SpokeWindows(length, config.step or length, config.shared_spokes)


def _announced_spokes(scan: Scan) -> int:
    for name in _SPOKES_PARAMETERS:
        value = scan.user_parameters.get(name)
        if isinstance(value, (int, float)) and value >= 1:
            logger.info("%d spokes a frame, from the header's %s", value, name)
            return int(value)
    logger.warning(
        "nothing tells the spokes of a frame: taking %d; set binning.spokes_per_frame", _DEFAULT_SPOKES
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


def _frame(cut: Cut, number: int, run: int, scan: Scan, matrix: tuple[int, int]) -> KSpace:
    readouts = [*cut.before, *cut.own, *cut.after]
    middle = cut.own[len(cut.own) // 2]
    is_shared = np.ones((1, len(readouts)), bool)
    is_shared[0, len(cut.before) : len(cut.before) + len(cut.own)] = False
    return KSpace(
        data=np.stack([r.data for r in readouts], axis=1)[None].astype(np.complex64, copy=False),
        trajectory=np.stack([r.trajectory for r in readouts if r.trajectory is not None])[None],
        matrix=matrix,
        is_shared=is_shared if is_shared.any() else None,
        noise=middle.noise,
        spoke_times_s=np.array([[r.time_s for r in readouts]]),
        times_s=np.array([np.mean([r.time_s for r in cut.own])]),
        physiology_s=np.array([middle.physiology_s], np.float64),
        geometry=middle.geometry,
        counters=cut.own[0].counters,
        measurement_id=scan.measurement_id,
        first_frame=number,
        comment=cut.comment,
        run=run,
    )


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
