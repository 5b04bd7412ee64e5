"""HDF5 files with the k-space of one volume, as fastMRI and CMRxRecon publish them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.convert.files import complex_from
from gadgets.convert.grid import Spaces, arrange_grid
from gadgets.files.hdf5 import dataset, open_hdf5
from gadgets.wire.header import parse_header
from python_recon.errors import ConfigError, DataError

_NAMES = ("kspace", "kspace_full", "kspace_sub")
"""k-space by the usual names, or names that begin with them."""
_AXES = {4: "slice coil readout ky", 5: "frame slice coil ky readout"}
"""Of fastMRI's arrays, and of CMRxRecon's as HDF5 has them."""
_HEADER = "ismrmrd_header"


@dataclass(frozen=True)
class VolumeFile:
    """What such a file holds."""

    data: np.ndarray
    """(slice, frame, coil, kz, ky, readout) complex64."""
    known: Mapping[str, Any]
    """What it tells of the scan: fields of a Protocol."""
    spaces: Spaces | None
    """From fastMRI's header; None: it does not tell."""


def read_volume(path: Path, name: str | None, axes: list[str] | None) -> VolumeFile:
    """Read a file.

    Raises
    ------
    DataError
        Where it is no such file.
    ConfigError
        Where its k-space is not named, or its axes are not.
    """
    with open_hdf5(path) as file:
        if "dataset" in file and "xml" in file["dataset"]:
            raise ConfigError(f"{path} is an ISMRMRD file already: replay it as it is")
        chosen = name or _name_of(sorted(file), path)
        found = dataset(file, chosen, path)
        if found is None:
            raise ConfigError(f"{path} holds no array {chosen!r}; it holds {', '.join(sorted(file))}")
        array = complex_from(found[()])
        text = dataset(file, _HEADER, path)
        header = None if text is None else text[()]
    if axes is None and array.ndim not in _AXES:
        raise ConfigError(f"{path}: the k-space is of shape {array.shape}; name its axes with --axes")
    data = arrange_grid(array, axes or _AXES[array.ndim].split())
    if header is None:
        return VolumeFile(data, {}, None)
    return _with_header(data, header, path)


def _name_of(names: list[str], path: Path) -> str:
    usual = [name for name in names if name in _NAMES] or [n for n in names if n.startswith("kspace")]
    if len(usual) != 1:
        raise ConfigError(f"{path} holds {', '.join(names) or 'nothing'}: say which with --data NAME")
    return usual[0]


def _with_header(data: np.ndarray, text: bytes | str, path: Path) -> VolumeFile:
    header = parse_header(text if isinstance(text, bytes) else text.encode())
    if not header.encoding:
        raise DataError(f"{path}: its {_HEADER} describes no encoding")
    encoded, images = header.encoding[0].encodedSpace, header.encoding[0].reconSpace
    spaces = Spaces(
        (images.matrixSize.x, images.matrixSize.y),
        (images.fieldOfView_mm.x, images.fieldOfView_mm.y),
        (encoded.fieldOfView_mm.x, encoded.fieldOfView_mm.y),
    )
    known = {
        "matrix": images.matrixSize.x,
        "field_of_view_mm": images.fieldOfView_mm.x,
        "slice_thickness_mm": images.fieldOfView_mm.z,
    }
    return VolumeFile(data, known, spaces)
