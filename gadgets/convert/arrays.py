"""k-space arrays of any order of axes, with or without a trajectory, as an ISMRMRD file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ismrmrd
import numpy as np
from ismrmrd import xsd
from ismrmrd.hdf5 import acquisition_header_dtype

from gadgets.convert.protocol import Protocol, Unit, header_xml
from gadgets.files.headers import FIRST_TICK, channel_mask, limit
from gadgets.files.tables import readout_rows, write_scan
from gadgets.translate.clock import TICK_S
from gadgets.translate.flags import mask
from python_recon.errors import ConfigError, ShapeError

AXES = ("slice", "frame", "coil", "spoke", "readout")
STACK_AXES = ("slice", "frame", "coil", "kz", "spoke", "readout")
TRAJECTORY_AXES = ("slice", "frame", "spoke", "readout", "dimension")
_LEVEL = 1e-2
"""By how much kz may miss a whole number."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RadialArrays:
    """The k-space of a scan.

    Raises
    ------
    ShapeError
        Where the two do not fit.
    """

    data: np.ndarray
    """(slice, frame, coil, spoke, readout) complex64."""
    trajectory: np.ndarray | None
    """(slice, frame, spoke, readout, 2) float64, slice or frame 1 where they do not differ."""
    partitions: np.ndarray | int = 0
    """(spoke,) number of the partition of each, of a stack of stars."""

    @property
    def n_partitions(self) -> int:
        return int(np.max(self.partitions)) + 1

    @property
    def steps(self) -> np.ndarray:
        """(spoke,) number of each within its partition."""
        n_spokes = self.data.shape[3]
        labels = np.broadcast_to(self.partitions, n_spokes)
        steps = np.empty(n_spokes, int)
        for label in np.unique(labels):
            own = labels == label
            steps[own] = np.arange(own.sum())
        return steps

    def __post_init__(self) -> None:
        if self.trajectory is None:
            return
        slices, frames, _, spokes, samples = self.data.shape
        expected = (slices, frames, spokes, samples, 2)
        fits = [have in (1, want) for have, want in zip(self.trajectory.shape[:2], expected[:2], strict=True)]
        if not all(fits) or self.trajectory.shape[2:] != expected[2:]:
            names = ", ".join(TRAJECTORY_AXES)
            raise ShapeError(
                f"the data need a trajectory of ({names}) = {expected}, found is {self.trajectory.shape}; "
                "are the axes named in the right order?"
            )


def arrange_data(array: np.ndarray, axes: Sequence[str] | None) -> np.ndarray:
    """k-space with its axes in the order of AXES; those that are not there have length 1.

    Raises
    ------
    ConfigError
        Where the names of the axes do not fit the array.
    """
    if not np.iscomplexobj(array):
        raise ConfigError(f"the k-space is of type {array.dtype}; expected complex numbers")
    names = axes or AXES[max(0, len(AXES) - array.ndim) :]
    return arrange(array, names, AXES, "--axes").astype(np.complex64)


def arrange_stack(array: np.ndarray, axes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same of a stack of stars with an axis ``kz``: all spokes of its partitions, and whose they are.

    Partition n // 2 lies at the centre of k-space.
    """
    if not np.iscomplexobj(array):
        raise ConfigError(f"the k-space is of type {array.dtype}; expected complex numbers")
    stack = arrange(array, axes, STACK_AXES, "--axes").astype(np.complex64)
    slices, frames, coils, partitions, spokes, samples = stack.shape
    labels = np.repeat(np.arange(partitions), spokes)
    return stack.reshape(slices, frames, coils, partitions * spokes, samples), labels


def arrange_trajectory(array: np.ndarray, axes: Sequence[str] | None) -> np.ndarray:
    """Positions with their axes in the order of TRAJECTORY_AXES; complex numbers are kx + i ky.

    Raises
    ------
    ConfigError
        Where the names of the axes do not fit the array, or the trajectory is three-dimensional.
    """
    if np.iscomplexobj(array):
        names = [name for name in TRAJECTORY_AXES if name != "dimension"]
        array = np.stack([array.real, array.imag], axis=-1)
        axes = axes and (*axes, "dimension")
        default = [*names[max(0, len(names) + 1 - array.ndim) :], "dimension"]
    else:
        default = list(TRAJECTORY_AXES[max(0, len(TRAJECTORY_AXES) - array.ndim) :])
    return arrange(array, axes or default, TRAJECTORY_AXES, "--trajectory-axes").astype(np.float64)


def split_kz(trajectory: np.ndarray) -> tuple[np.ndarray, np.ndarray | int]:
    """A trajectory's kx and ky, and the number of the partition of each spoke, from its kz.

    kz counts partitions (cycles per thickness of the slab); 0 is partition n // 2.

    Raises
    ------
    ConfigError
        Where it is neither two-dimensional nor that of a stack of stars.
    """
    if trajectory.shape[-1] == 2:
        return trajectory, 0
    if trajectory.shape[-1] != 3:
        raise ConfigError(
            f"the trajectory has {trajectory.shape[-1]} dimensions; expected kx, ky, and kz or none"
        )
    kz = trajectory[..., 2]
    spokes = kz[0, 0, :, 0]
    if np.ptp(kz) == 0:
        return trajectory[..., :2], 0
    if max(np.abs(kz - spokes[:, None]).max(), np.abs(spokes - np.rint(spokes)).max()) > _LEVEL:
        raise ConfigError(
            "the trajectory has 3 dimensions, and its third is no kz of partitions: expected are whole "
            "numbers -n/2 ... n/2 - 1, one for each spoke, the same in all frames"
        )
    reach = int(max(-spokes.min(), spokes.max() + 1))
    return trajectory[..., :2], np.rint(spokes).astype(int) + reach


def write_arrays(
    path: Path, arrays: RadialArrays, protocol: Protocol, unit: Unit, *, overwrite: bool = False
) -> int:
    """Write arrays as an ISMRMRD file, one slice after the other; returns the number of readouts.

    A trajectory whose unit is given is stored normalised to -0.5..0.5; with ``auto`` it is stored as it is,
    and the reconstruction tells its unit from its largest radius.
    """
    slices, frames, coils, _, _ = arrays.data.shape
    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=limit(int(arrays.steps.max()) + 1),
        slice=limit(slices), repetition=limit(frames),
        kspace_encoding_step_2=limit(arrays.n_partitions) if arrays.n_partitions > 1 else None,
    )  # fmt: skip
    if arrays.trajectory is None:
        _log.warning(
            "there is no trajectory: the angles are taken to rise by %.10g degrees from spoke to spoke",
            protocol.angle_increment_deg,
        )
    xml = header_xml(protocol, coils, limits, arrays.trajectory is not None)
    return write_scan(path, xml, _blocks(arrays, protocol, unit), overwrite=overwrite)


def arrange(array: np.ndarray, names: Sequence[str], wanted: Sequence[str], option: str) -> np.ndarray:
    """An array with its axes in a wanted order; raises ConfigError where their names do not fit it."""
    unknown = [name for name in names if name not in wanted]
    if unknown or len(set(names)) != len(names) or len(names) != array.ndim:
        raise ConfigError(
            f"{option} {' '.join(names)!r} does not fit an array of shape {array.shape}: name each of its "
            f"axes, first to last, among {', '.join(wanted)}"
        )
    present = [name for name in wanted if name in names]
    ordered = array.transpose([list(names).index(name) for name in present])
    sizes = dict(zip(present, ordered.shape, strict=True))
    return ordered.reshape([sizes.get(name, 1) for name in wanted])


def _blocks(arrays: RadialArrays, protocol: Protocol, unit: Unit) -> Iterator[np.ndarray]:
    """The readouts of each frame of each slice."""
    slices, frames = arrays.data.shape[:2]
    scale = _scale(protocol, unit)
    for number in range(slices):
        for frame in range(frames):
            data = arrays.data[number, frame].swapaxes(0, 1)  # spoke, coil, readout
            heads = _heads(arrays, protocol, number, frame)
            trajectory = None
            if arrays.trajectory is not None:
                held = arrays.trajectory
                trajectory = scale * held[min(number, len(held) - 1), min(frame, held.shape[1] - 1)]
            yield readout_rows(heads, data, trajectory)


def _scale(protocol: Protocol, unit: Unit) -> float:
    """From a unit to the normalised one."""
    factors = {"cycles_per_fov": 1.0, "per_mm": protocol.field_of_view_mm}
    return factors[unit] / protocol.matrix if unit in factors else 1.0


def _heads(arrays: RadialArrays, protocol: Protocol, number: int, frame: int) -> np.ndarray:
    """Headers of a frame of a slice."""
    slices, frames, coils, spokes, samples = arrays.data.shape
    heads = np.zeros(spokes, acquisition_header_dtype)
    placed_heads(heads, protocol, (number * frames + frame) * spokes, number, slices, frame)
    heads["number_of_samples"] = samples
    heads["center_sample"] = samples // 2 if protocol.center_sample is None else protocol.center_sample
    heads["available_channels"] = heads["active_channels"] = coils
    heads["channel_mask"] = channel_mask(coils)
    heads["trajectory_dimensions"] = 0 if arrays.trajectory is None else 2
    heads["idx"]["kspace_encode_step_1"] = arrays.steps
    heads["idx"]["kspace_encode_step_2"] = arrays.partitions
    is_last = (number, frame) == (slices - 1, frames - 1)
    heads["flags"] = _flags(spokes, is_last)
    return heads


def placed_heads(
    heads: np.ndarray, protocol: Protocol, first: int, number: int, n_slices: int, frame: int
) -> None:
    """Fill in place, time and counters of the readouts of a frame; ``first`` is the number of the first."""
    counter = first + np.arange(len(heads))
    heads["version"] = 1
    heads["scan_counter"] = counter
    if protocol.repetition_time_ms is not None:
        ticks = protocol.repetition_time_ms * 1e-3 / TICK_S
        heads["acquisition_time_stamp"] = FIRST_TICK + np.round(counter * ticks)
    offset = (number - (n_slices - 1) / 2) * protocol.slice_thickness_mm
    heads["position"] = np.array(protocol.position_mm) + offset * np.array(protocol.slice_dir)
    heads["read_dir"], heads["phase_dir"] = protocol.read_dir, protocol.phase_dir
    heads["slice_dir"] = protocol.slice_dir
    heads["idx"]["repetition"], heads["idx"]["slice"] = frame, number


def _flags(n_spokes: int, is_last: bool) -> np.ndarray:
    """(spoke,) flags of a frame, which may be the last of the scan."""
    flags = np.zeros(n_spokes, np.uint64)
    flags[0] |= np.uint64(mask(ismrmrd.ACQ_FIRST_IN_SLICE, ismrmrd.ACQ_FIRST_IN_REPETITION))
    flags[-1] |= np.uint64(mask(ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_REPETITION))
    if is_last:
        flags[-1] |= np.uint64(mask(ismrmrd.ACQ_LAST_IN_MEASUREMENT))
    return flags
