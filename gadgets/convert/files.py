"""Arrays in files: NumPy, MATLAB (all versions) and BART."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.files.hdf5 import dataset, open_hdf5
from python_recon.config import nearest
from python_recon.errors import ConfigError, DataError

ARRAY_SUFFIXES = (".npy", ".npz", ".mat")
BART_SUFFIXES = (".cfl", ".hdr")
BART_AXES = {1: "readout", 2: "spoke", 3: "coil", 10: "frame", 13: "slice"}
"""The dimensions of BART's k-space that a radial scan has; 0 is that of one sample or of kx, ky, kz."""
_MAT_V5 = (0, 1)
"""Major versions of MATLAB files that SciPy reads; 2 is HDF5."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names; that of a ``.npy`` file is ``array``.

    MATLAB's axes are in the order in which MATLAB shows them, whatever the version of the file.

    Raises
    ------
    DataError
        Where the file is missing, or is not what its suffix says.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        if path.suffix == ".npy":
            return {"array": np.load(path, allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                return dict(held)
        return _read_mat(path)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a {path.suffix} file: {error}") from error


def choose(arrays: Mapping[str, np.ndarray], name: str | None, path: Path, option: str) -> np.ndarray:
    """An array by its name, or the only one; raises ConfigError where there is none such."""
    if name is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if name is not None and name in arrays:
        return arrays[name]
    held = ", ".join(f"{key} {value.shape}" for key, value in arrays.items()) or "no arrays"
    if name is None:
        raise ConfigError(f"{path} holds {held}: say which with {option} NAME")
    raise ConfigError(f"{path} holds no array {name!r}{nearest(name, arrays)}; it holds {held}")


def read_bart(path: Path) -> np.ndarray:
    """A BART array of 16 dimensions, complex64.

    Parameters
    ----------
    path
        With or without one of BART's suffixes.

    Raises
    ------
    DataError
        Where one of the two files is missing, or they contradict each other.
    """
    base = path.with_suffix("") if path.suffix in BART_SUFFIXES else path
    header, data = base.with_name(f"{base.name}.hdr"), base.with_name(f"{base.name}.cfl")
    for file in (header, data):
        if not file.is_file():
            raise DataError(f"there is no file {file}; BART keeps an array in a .hdr and a .cfl file")
    lines = header.read_text(errors="replace").splitlines()
    try:
        sizes = [int(word) for word in lines[lines.index("# Dimensions") + 1].split()]
    except (ValueError, IndexError) as error:
        raise DataError(f"{header} is no BART header: no sizes follow '# Dimensions'") from error
    values = np.fromfile(data, np.complex64)
    if values.size != np.prod(sizes, dtype=np.int64):
        raise DataError(f"{data} holds {values.size} numbers, {header} says {' x '.join(map(str, sizes))}")
    return values.reshape([*sizes, *[1] * (16 - len(sizes))], order="F")


def bart_axes(array: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """A BART array without its dimensions of length 1 but the first, and the names of the others.

    Raises
    ------
    DataError
        Where it has dimensions that radial k-space has not.
    """
    odd = [axis for axis, size in enumerate(array.shape) if size > 1 and axis and axis not in BART_AXES]
    if odd:
        raise DataError(
            f"{path} has several entries along BART's dimensions {', '.join(map(str, odd))}; expected are "
            "samples (1), spokes (2), coils (3), frames (10) and slices (13)"
        )
    kept = [axis for axis in BART_AXES if array.shape[axis] > 1 or axis in (1, 2)]
    shape = [array.shape[axis] for axis in (0, *kept)]
    return array.reshape(shape, order="F"), [BART_AXES[axis] for axis in kept]


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError, matfile_version

    try:
        found = loadmat(path) if matfile_version(path)[0] in _MAT_V5 else None
    except MatReadError as error:
        raise ValueError(str(error)) from error
    if found is not None:
        return {name: value for name, value in found.items() if _is_numeric(name, value)}
    with open_hdf5(path) as file:
        sets = {name: dataset(file, name, path) for name in file}
        arrays = {name: complex_from(item[()]).T for name, item in sets.items() if item is not None}
    return {name: value for name, value in arrays.items() if _is_numeric(name, value)}


def complex_from(array: Any) -> np.ndarray:
    """MATLAB's pairs of real and imaginary parts as complex numbers."""
    array = np.asarray(array)
    return array["real"] + 1j * array["imag"] if array.dtype.names == ("real", "imag") else array


def _is_numeric(name: str, value: Any) -> bool:
    return not name.startswith("_") and isinstance(value, np.ndarray) and value.dtype.kind in "fciu"
