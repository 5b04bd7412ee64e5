"""All readouts of a simulated scan, in the order of their acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gadgets.simulation.masks import calibration_lines, sampled_lines
from gadgets.simulation.options import SimulateOptions
from python_recon.errors import ConfigError

_SLICE_DISTANCE_MM, _HEART_LENGTH_MM = 10.0, 80.0
_SLAB_MM = 60.0
"""Thickness of the slab of a volume: much of the heart, whatever its partitions."""
_FIRST_SPOKE_DEG = 180.0
"""Gadgetron's spokes start at the far end: spoke 0 runs towards -x."""


@dataclass(frozen=True)
class Plan:
    """The readouts, one entry of each array for each."""

    options: SimulateOptions
    slices: np.ndarray
    frames: np.ndarray
    lines: np.ndarray
    """What ``kspace_encode_step_1`` counts: spokes of a frame, or lines of ky."""
    partitions: np.ndarray
    """What ``kspace_encode_step_2`` counts."""
    numbers: np.ndarray
    """Running number of the spoke within its slice, which the golden angle follows; of lines, their number
    within all frames. Readouts of one number are acquired together: they differ in their partition."""
    is_calibration: np.ndarray
    """Whether a line belongs to the fully sampled centre."""
    is_imaging: np.ndarray
    """Whether it belongs to the mask."""

    @property
    def times_s(self) -> np.ndarray:
        """(readout,) time of each since the first."""
        return np.arange(len(self.slices)) * self.options.repetition_time * 1e-3

    @property
    def slice_offsets_mm(self) -> np.ndarray:
        """(slice,) distance from the middle of the stack; of a volume, that of the slab: 0."""
        n = self.options.slices
        distance = min(_SLICE_DISTANCE_MM, _HEART_LENGTH_MM / max(1, n - 1))
        return distance * (np.arange(n) - (n - 1) / 2)

    @property
    def thickness_mm(self) -> float:
        """Extent of the slab of a volume."""
        return _SLAB_MM

    def frame_times_s(self) -> np.ndarray:
        """(slice, frame) middle of each frame."""
        shape = self.options.slices, self.options.frames
        cell = self.slices * shape[1] + self.frames
        count = np.bincount(cell, minlength=shape[0] * shape[1])
        return (np.bincount(cell, self.times_s, len(count)) / count).reshape(shape)  # type: ignore[no-any-return]

    def trajectory(self, part: slice | np.ndarray) -> np.ndarray:
        """(readout, sample, 2) in cycles per field of view, in the plane of the slice."""
        n = self.options.matrix
        radius = (np.arange(2 * n) - n) / 2
        if self.options.is_cartesian:
            ky = self.lines[part] - float(n // 2)
            return np.stack(np.broadcast_arrays(radius, ky[:, None]), axis=-1)
        angles = np.deg2rad(self.numbers[part] * self.options.angle_increment % 360 + _FIRST_SPOKE_DEG)
        return np.stack([np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius)], axis=-1)

    def embedded(self, part: slice) -> np.ndarray | None:
        """The trajectory as it is stored, -0.5..0.5; None where it is not: lines follow from counters."""
        if self.options.is_cartesian or not self.options.embed_trajectory:
            return None
        return self.trajectory(part) / self.options.matrix


def plan_readouts(options: SimulateOptions) -> Plan:
    """The order of the readouts: of a volume, all partitions of a spoke or line at once.

    Raises
    ------
    ConfigError
        When options exclude each other.
    """
    _check(options)
    each = _of_a_slice(options)
    n, slices = len(each["numbers"]), np.arange(options.slices)
    if options.slice_order == "interleaved":
        return Plan(options, np.tile(slices, n), **{k: np.repeat(a, len(slices)) for k, a in each.items()})
    return Plan(options, np.repeat(slices, n), **{k: np.tile(a, len(slices)) for k, a in each.items()})


def _check(options: SimulateOptions) -> None:
    has_mask = options.acceleration > 1 or options.acs > 0 or options.mask != "uniform"
    if has_mask and not options.is_cartesian:
        raise ConfigError(
            f"acceleration, acs and mask choose lines, and encoding {options.encoding} has spokes: "
            "say how many with spokes_per_frame"
        )
    if options.is_volume and options.slices > 1:
        raise ConfigError(
            f"encoding {options.encoding} scans one slab: leave slices at 1, and set partitions"
        )


def _of_a_slice(options: SimulateOptions) -> dict[str, np.ndarray]:
    """The arrays of a plan, for one slice."""
    if not options.is_cartesian:
        n_partitions = options.partitions if options.is_volume else 1
        numbers = np.repeat(np.arange(options.frames * options.spokes_per_frame), n_partitions)
        frames, lines = np.divmod(numbers, options.spokes_per_frame)
        partitions = np.arange(len(numbers)) % n_partitions
        is_imaging = np.ones(len(numbers), bool)
    else:
        mask = sampled_lines(options)
        frames, lines, partitions = np.nonzero(mask | calibration_lines(options))
        numbers = frames * options.matrix + lines
        is_imaging = mask[frames, lines, partitions]
    is_calibration = (
        calibration_lines(options)[lines, partitions] if options.acs else np.zeros_like(is_imaging)
    )
    return {
        "frames": frames,
        "lines": lines,
        "partitions": partitions,
        "numbers": numbers,
        "is_calibration": is_calibration,
        "is_imaging": is_imaging,
    }
