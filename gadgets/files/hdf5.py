"""HDF5 files read with care: what h5py raises becomes one error of ours, and nothing leads out of it.

A file may name other files: by external links, by external storage and as sources of virtual data sets.
Whoever wrote it would choose what is read of this machine, so all of them are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from python_recon.errors import DataError, ReconError

_FAILURES = (OSError, LookupError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)
"""What h5py and numpy raise where a file is damaged, or holds something else than it is read for."""


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn all that fails within the block into a DataError that names the file and ``what`` was read."""
    try:
        yield
    except ReconError:
        raise
    except _FAILURES as error:
        raise DataError(f"{path} cannot be read: {what}: {error or repr(error)}; copy it again") from error


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file, opened read-only.

    Raises
    ------
    DataError
        When it is missing, empty, truncated, being written, or no HDF5.
    """
    with open_file(path) as file, reading(path, "its contents"):
        yield file


def open_file(path: Path) -> h5py.File:
    """As :func:`open_hdf5`, for those who close it themselves."""
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes)")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "truncated" in str(error):
            raise DataError(f"{path} is truncated: it ends before its data do; copy it again") from error
        if "lock" in str(error):
            raise DataError(f"{path} is being written by another program; wait for it to finish") from error
        raise DataError(f"{path} is not an HDF5 file; {_cure(path)}") from error


def member(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset | None:
    """What a group holds under a name (``a/b`` is that of a group within); None where there is nothing.

    Raises
    ------
    DataError
        Where the name, a part of it or the data lie in another file.
    """
    found: h5py.Group | h5py.Dataset = group
    for part in name.strip("/").split("/"):
        if not isinstance(found, h5py.Group):
            return None
        link = found.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: {found.name}/{part} is a link; links are not followed: copy the data")
        found = found[part]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise DataError(f"{path}: the data of {found.name} lie in another file, which is not read")
    return found


def dataset(group: h5py.Group, name: str, path: Path) -> h5py.Dataset | None:
    """The data set of a name; None where there is none."""
    found = member(group, name, path)
    return found if isinstance(found, h5py.Dataset) else None


_CONVERTED = (".dat", ".npy", ".npz", ".mat", ".cfl", ".hdr")
"""Endings of what our own converter reads."""


def _cure(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if start[:2] in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        return f"it looks like a recorded stream: gadgetron-pisco replay -f {path} reads it"
    if path.suffix.lower() in _CONVERTED:
        return f"make one of it: gadgetron-pisco convert {path} scan.h5"
    return "convert raw data first (siemens_to_ismrmrd, ge_to_ismrmrd, ...)"
