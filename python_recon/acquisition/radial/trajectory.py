"""Where each readout lies in k-space."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from python_recon.acquisition.echoes import are_half_spokes, tell_contradictions
from python_recon.acquisition.embedded import embedded_locator
from python_recon.acquisition.extent import spoke_extent
from python_recon.acquisition.radial.angles import configured_angles, header_angles
from python_recon.acquisition.spoke_index import SpokeCounter, StreamKey, stream_key
from python_recon.config import TrajectoryConfig
from python_recon.data import Readout, Scan
from python_recon.errors import DataError, MissingTrajectoryError

logger = logging.getLogger(__name__)

Source: TypeAlias = Literal["embedded", "user_float", "header", "configured"]
Locator: TypeAlias = Callable[[Readout, int], np.ndarray]
"""The trajectory (readout, 2) of a readout with its spoke number."""

_HEAD_PER_STREAM = 8
"""Readouts of one slice that are looked at before a source is believed."""
_HEAD = 256
"""The same for all slices together."""


def locate(readouts: Iterable[Readout], scan: Scan, config: TrajectoryConfig) -> Iterator[Readout]:
    """Fill in the trajectory, in cycles per field of view, and the number of the spoke.

    Sources in order of trust: the embedded trajectory; an angle in user_float, if it varies; the header's
    trajectoryDescription; the configuration; mode 2 where the header says goldenangle. The first few
    readouts are held back until the source is chosen.

    Raises
    ------
    MissingTrajectoryError
        If nothing gives the angles.
    DataError
        If the data are not radial or have partitions, or an embedded trajectory is in no known unit.
    ShapeError
        If an embedded trajectory does not fit its samples.
    """
    stream = iter(readouts)
    head = _head(stream)
    if not head:
        return
    counter = SpokeCounter(head, scan)
    locator = _locator(head, scan, config)
    tell_contradictions(head, [locator(readout, number) for number, readout in enumerate(head)])
    partitions: dict[StreamKey, int] = {}
    for readout in itertools.chain(head, stream):
        _refuse_partitions(readout, partitions)
        number = counter.number(readout)
        trajectory = locator(readout, number)
        if not np.isfinite(trajectory).all():
            logger.warning("readout %d left out: its angle is not finite", readout.scan_counter)
            continue
        yield replace(readout, trajectory=trajectory, spoke_index=number)


def sample_positions(n_samples: int, center_sample: int, *, may_be_half: bool = False) -> np.ndarray:
    """Positions (readout,) along a spoke, from -0.5 to 0.5 of the diameter of k-space, 0 at the centre.

    The longer side of a partial echo reaches the edge of k-space. A centre outside the readout is taken to be
    in the middle; so is one at its first or last sample (what an unfilled header field says), unless the
    spokes may be half ones.
    """
    first = 0 if may_be_half else 1
    if not first <= center_sample < n_samples - first:
        logger.debug("center_sample is %d of %d samples: taking the middle", center_sample, n_samples)
        center_sample = n_samples // 2
    full = 2 * max(center_sample, n_samples - center_sample)
    positions: np.ndarray = (np.arange(n_samples) - center_sample) / full
    return positions


def _refuse_partitions(readout: Readout, seen: dict[StreamKey, int]) -> None:
    partition = readout.counters.kspace_encode_step_2
    first = seen.setdefault(stream_key(readout), partition)
    if partition != first:
        raise DataError(
            f"the scan has partitions (kspace_encode_step_2 is {partition} at readout "
            f"{readout.scan_counter}, {first} before), and the header announces none: give the limits of "
            "kspace_encoding_step_2 in its encodingLimits"
        )


def _head(stream: Iterator[Readout]) -> list[Readout]:
    head: list[Readout] = []
    seen: dict[StreamKey, int] = {}
    for readout in stream:
        head.append(readout)
        key = stream_key(readout)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == _HEAD_PER_STREAM or len(head) == _HEAD:
            break
    return head


def _locator(head: Sequence[Readout], scan: Scan, config: TrajectoryConfig) -> Locator:
    source = _source(head, scan, config)
    if source == "embedded":
        return embedded_locator(head, scan, config.unit, spoke_extent(scan))
    if source == "user_float":
        logger.info("angles come from user_float[%d]", config.user_float_index)
        return _spokes(lambda readout, _: readout.user_float[config.user_float_index], scan, head)
    angle = header_angles(scan) if source == "header" else configured_angles(scan, config)
    if angle is None:
        raise MissingTrajectoryError(
            f"the header's trajectoryDescription names no angle increment (it holds "
            f"{sorted(scan.trajectory_parameters) or 'nothing'}): set trajectory.source to another source"
        )
    return _spokes(lambda _, number: angle(number), scan, head)


def _source(head: Sequence[Readout], scan: Scan, config: TrajectoryConfig) -> Source:
    if config.source != "auto":
        _check_source(config.source, head, config)
        return config.source
    if any(r.raw_trajectory is not None and r.raw_trajectory.any() for r in head):
        return "embedded"
    if scan.trajectory_kind in ("cartesian", "epi", "spiral"):
        raise DataError(
            f"the header says that the data are {scan.trajectory_kind} and no trajectory is embedded; radial "
            "data are expected. If they are radial all the same, set trajectory.source to 'configured' and "
            "trajectory.mode or trajectory.angle_increment_deg"
        )
    if _has_angle_in_user_float(head, config.user_float_index):
        return "user_float"
    if header_angles(scan) is not None:
        return "header"
    return "configured"


def _check_source(source: Source, head: Sequence[Readout], config: TrajectoryConfig) -> None:
    if source == "embedded" and all(readout.raw_trajectory is None for readout in head):
        raise MissingTrajectoryError(
            "trajectory.source is 'embedded' but the readouts carry no trajectory: set it to 'auto', or to "
            "'configured' with trajectory.mode"
        )
    if source == "user_float" and any(len(r.user_float) <= config.user_float_index for r in head):
        raise MissingTrajectoryError(
            "trajectory.source is 'user_float' but the readouts carry no "
            f"user_float[{config.user_float_index}]"
        )


def _has_angle_in_user_float(head: Sequence[Readout], index: int) -> bool:
    """Whether the value differs from each readout of a slice to the next: a constant is no angle."""
    streams: dict[StreamKey, list[float]] = {}
    for readout in head:
        if len(readout.user_float) <= index or not np.isfinite(readout.user_float[index]):
            return False
        streams.setdefault(stream_key(readout), []).append(readout.user_float[index])
    steps = [step for values in streams.values() for step in np.diff(values)]
    return bool(steps) and all(steps)


def _spokes(angle_deg: Callable[[Readout, int], float], scan: Scan, head: Sequence[Readout]) -> Locator:
    extent = np.array(spoke_extent(scan))
    may_be_half = are_half_spokes(head)
    if may_be_half:
        logger.info("center_sample is at an end of the readouts, and so is their energy: half spokes")

    def place(readout: Readout, number: int) -> np.ndarray:
        angle = np.deg2rad(angle_deg(readout, number) % 360.0)
        direction = np.array([np.cos(angle), np.sin(angle)]) * extent
        positions = sample_positions(readout.n_samples, readout.center_sample, may_be_half=may_be_half)
        trajectory: np.ndarray = (positions[:, None] * direction).astype(np.float32)
        return trajectory

    return place
