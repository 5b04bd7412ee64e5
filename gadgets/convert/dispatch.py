"""Which converter a file needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.convert.arrays import (
    RadialArrays,
    arrange_data,
    arrange_stack,
    arrange_trajectory,
    split_kz,
    write_arrays,
)
from gadgets.convert.files import (
    ARRAY_SUFFIXES,
    BART_SUFFIXES,
    bart_axes,
    choose,
    read_arrays,
    read_bart,
)
from gadgets.convert.grid import Spaces, arrange_grid, write_grid
from gadgets.convert.protocol import Protocol, Unit
from gadgets.convert.twix import convert_twix
from gadgets.convert.twix_header import Angles
from gadgets.convert.volumes import read_volume
from python_recon.errors import ConfigError, DataError

_TWIX = ".dat"
_VOLUMES = (".h5", ".hdf5")
_BART_GRID = {0: "readout", 1: "ky", 2: "kz", 3: "coil", 10: "frame", 13: "slice"}
"""BART's dimensions of Cartesian k-space."""
_NEEDED = {"matrix": "--matrix", "field_of_view_mm": "--field-of-view"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArrayChoice:
    """What is to be taken from files of arrays, and how it is to be understood; None: what is usual."""

    data: str | None = None
    trajectory: str | None = None
    """Name of an array in the same file, or a file."""
    axes: Sequence[str] | None = None
    trajectory_axes: Sequence[str] | None = None
    unit: Unit | None = None


def convert_file(
    source: Path, target: Path, choice: ArrayChoice, known: Mapping[str, Any], *, overwrite: bool = False
) -> int:
    """Convert a file by its suffix.

    Parameters
    ----------
    known
        What is known of the scan: some of the fields of a Protocol.

    Returns
    -------
    Number of readouts.

    Raises
    ------
    ReconError
        Where the file cannot be read, or too little is known of it.
    """
    if source.suffix == _TWIX:
        return _convert_twix(source, target, choice, known, overwrite)
    if source.suffix in _VOLUMES:
        return _convert_volume(source, target, choice, known, overwrite)
    if _is_bart(source):
        if choice.trajectory is None and len(read_bart(source)) > 1:
            data = _bart_grid(source, choice)
            return _write_grid(source, target, data, known, overwrite)
        arrays, unit = _bart_arrays(source, choice), choice.unit or "cycles_per_fov"
        known = _matrix_of(arrays, unit) | dict(known)
    elif source.suffix in ARRAY_SUFFIXES:
        if "ky" in (choice.axes or ()):
            array = choose(read_arrays(source), choice.data, source, "--data")
            return _write_grid(source, target, arrange_grid(array, choice.axes), known, overwrite)
        arrays, unit = _file_arrays(source, choice), choice.unit or "auto"
    else:
        kinds = ", ".join((_TWIX, *BART_SUFFIXES, *ARRAY_SUFFIXES, *_VOLUMES))
        raise ConfigError(f"{source}: files of this kind are not converted; known are {kinds}")
    return write_arrays(target, arrays, _protocol(source, known), unit, overwrite=overwrite)


def _protocol(source: Path, known: Mapping[str, Any]) -> Protocol:
    missing = [option for name, option in _NEEDED.items() if name not in known]
    if missing:
        raise ConfigError(f"{source} does not tell its image matrix and size: give {' and '.join(missing)}")
    return Protocol(**{"name": source.stem, **known})


def _write_grid(
    source: Path, target: Path, data: np.ndarray, known: Mapping[str, Any], overwrite: bool
) -> int:
    """A grid tells its matrix: that of its samples, where no smaller one is given."""
    protocol = _protocol(source, {"matrix": data.shape[-1], **known})
    return write_grid(target, data, protocol, Spaces.of(data, protocol), overwrite=overwrite)


def _convert_volume(
    source: Path, target: Path, choice: ArrayChoice, known: Mapping[str, Any], overwrite: bool
) -> int:
    if choice.trajectory or choice.trajectory_axes or choice.unit:
        raise ConfigError(f"{source} is converted as Cartesian k-space: leave the trajectory's options away")
    found = read_volume(source, choice.data, choice.axes)
    if found.spaces is None or known.keys() & _NEEDED.keys():
        return _write_grid(source, target, found.data, {**found.known, **known}, overwrite)
    protocol = _protocol(source, {**found.known, **known})
    return write_grid(target, found.data, protocol, found.spaces, overwrite=overwrite)


def _bart_grid(source: Path, choice: ArrayChoice) -> np.ndarray:
    if choice.data or choice.axes or choice.trajectory_axes:
        raise ConfigError("BART's axes have fixed places: leave --data, --axes and --trajectory-axes away")
    array = read_bart(source)
    odd = [axis for axis, size in enumerate(array.shape) if size > 1 and axis not in _BART_GRID]
    if odd:
        raise DataError(
            f"{source} has several entries along BART's dimensions {', '.join(map(str, odd))}; expected of "
            "Cartesian k-space are readout (0), phases (1, 2), coils (3), frames (10) and slices (13)"
        )
    shape = [array.shape[axis] for axis in _BART_GRID]
    return arrange_grid(array.reshape(shape, order="F"), list(_BART_GRID.values()))


def _convert_twix(
    source: Path, target: Path, choice: ArrayChoice, known: Mapping[str, Any], overwrite: bool
) -> int:
    told = [name for name in known if not name.startswith("angle_")]
    if told or choice != ArrayChoice():
        raise ConfigError(f"{source} tells all but the angles: give only --angle-increment, --angle-offset")
    angles = Angles(known.get("angle_increment_deg"), known.get("angle_offset_deg", 0.0))
    return convert_twix(source, target, angles, overwrite=overwrite)


def _is_bart(source: Path) -> bool:
    return source.suffix in BART_SUFFIXES or source.with_name(f"{source.name}.cfl").is_file()


def _bart_arrays(source: Path, choice: ArrayChoice) -> RadialArrays:
    if choice.data or choice.axes or choice.trajectory_axes:
        raise ConfigError("BART's axes have fixed places: leave --data, --axes and --trajectory-axes away")
    data, axes = bart_axes(read_bart(source), source)
    if len(data) != 1:
        raise DataError(f"{source} begins with a dimension of {len(data)}; radial k-space has 1 there")
    trajectory = None
    if choice.trajectory is not None:
        places, names = bart_axes(read_bart(Path(choice.trajectory)), Path(choice.trajectory))
        trajectory = arrange_trajectory(places.real, ["dimension", *names])
    return _radial(arrange_data(data[0], axes), trajectory)


def _file_arrays(source: Path, choice: ArrayChoice) -> RadialArrays:
    held = read_arrays(source)
    trajectory = None
    if choice.trajectory is not None and choice.trajectory in held:
        trajectory = held.pop(choice.trajectory)
    elif choice.trajectory is not None:
        path = Path(choice.trajectory)
        if path.suffix not in ARRAY_SUFFIXES:
            choose(held, choice.trajectory, source, "--trajectory")  # tells what there is
        trajectory = choose(read_arrays(path), None, path, "--trajectory")
    array = choose(held, choice.data, source, "--data")
    arranged = None if trajectory is None else arrange_trajectory(trajectory, choice.trajectory_axes)
    if choice.axes and "kz" in choice.axes:
        data, partitions = arrange_stack(array, choice.axes)
        if arranged is not None:  # one for all partitions
            arranged = np.tile(split_kz(arranged)[0], (1, 1, int(partitions.max()) + 1, 1, 1))
        return RadialArrays(data, arranged, partitions)
    return _radial(arrange_data(array, choice.axes), arranged)


def _radial(data: np.ndarray, trajectory: np.ndarray | None) -> RadialArrays:
    """Spokes of slices or, where kz says so, of a stack of stars."""
    if trajectory is None:
        return RadialArrays(data, None)
    places, partitions = split_kz(trajectory)
    return RadialArrays(data, places, partitions)


def _matrix_of(arrays: RadialArrays, unit: Unit) -> dict[str, int]:
    """The matrix that a trajectory in cycles per field of view reaches."""
    if arrays.trajectory is None or unit != "cycles_per_fov":
        return {}
    radius = float(np.linalg.norm(arrays.trajectory, axis=-1).max())
    matrix = max(2, 2 * round(radius))
    _log.info("the trajectory reaches a radius of %.4g: a matrix of %d", radius, matrix)
    return {"matrix": matrix}
