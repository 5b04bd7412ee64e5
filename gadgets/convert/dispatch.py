"""Which converter a file needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.convert.arrays import RadialArrays, arrange_data, arrange_trajectory, write_arrays
from gadgets.convert.files import (
    ARRAY_SUFFIXES,
    BART_SUFFIXES,
    bart_axes,
    choose,
    read_arrays,
    read_bart,
)
from gadgets.convert.protocol import Protocol, Unit
from gadgets.convert.twix import convert_twix
from gadgets.convert.twix_header import Angles
from python_recon.errors import ConfigError, DataError

_TWIX = ".dat"
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
    if _is_bart(source):
        arrays, unit = _bart_arrays(source, choice), choice.unit or "cycles_per_fov"
        known = _matrix_of(arrays, unit) | dict(known)
    elif source.suffix in ARRAY_SUFFIXES:
        arrays, unit = _file_arrays(source, choice), choice.unit or "auto"
    else:
        kinds = ", ".join((_TWIX, *BART_SUFFIXES, *ARRAY_SUFFIXES))
        raise ConfigError(f"{source}: files of this kind are not converted; known are {kinds}")
    missing = [option for name, option in _NEEDED.items() if name not in known]
    if missing:
        raise ConfigError(f"{source} does not tell its image matrix and size: give {' and '.join(missing)}")
    protocol = Protocol(**{"name": source.stem, **known})
    return write_arrays(target, arrays, protocol, unit, overwrite=overwrite)


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
    return RadialArrays(arrange_data(data[0], axes), trajectory)


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
    data = arrange_data(choose(held, choice.data, source, "--data"), choice.axes)
    arranged = None if trajectory is None else arrange_trajectory(trajectory, choice.trajectory_axes)
    return RadialArrays(data, arranged)


def _matrix_of(arrays: RadialArrays, unit: Unit) -> dict[str, int]:
    """The matrix that a trajectory in cycles per field of view reaches."""
    if arrays.trajectory is None or unit != "cycles_per_fov":
        return {}
    radius = float(np.linalg.norm(arrays.trajectory, axis=-1).max())
    matrix = max(2, 2 * round(radius))
    _log.info("the trajectory reaches a radius of %.4g: a matrix of %d", radius, matrix)
    return {"matrix": matrix}
