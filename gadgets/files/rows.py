"""Rows of an ISMRMRD table, whatever number types, order and shape they are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import acquisition_header_dtype, waveform_header_dtype

from python_recon.errors import DataError

_HEADS: Mapping[str, np.dtype] = {"data": acquisition_header_dtype, "waveforms": waveform_header_dtype}
_COLUMNS = {"data": {"head", "traj", "data"}, "waveforms": {"head", "data"}}


def check_table(table: h5py.Dataset, name: str) -> None:
    """Raise DataError where a data set is no table of readouts (``data``) or ``waveforms``."""
    kind = table.dtype
    if kind.names is None or not _COLUMNS[name] <= set(kind.names):
        what = "acquisitions" if name == "data" else "waveforms"
        raise DataError(f"{table.name} is no table of ISMRMRD {what}: it has the type {kind}")
    if lacking := _lacking(kind["head"], _HEADS[name]):
        raise DataError(
            f"the headers in {table.name} lack {', '.join(lacking)}; convert the file with the ISMRMRD tools "
            "of its version"
        )
    if max(table.shape, default=1) != table.size:
        raise DataError(f"{table.name} has the shape {table.shape}, expected a list")


def read_rows(table: h5py.Dataset, name: str, part: slice) -> np.ndarray:
    """Some of the rows, in file order: (row,) with a ``head`` as ismrmrd has it.

    Raises
    ------
    DataError
        Where a header holds a number that ISMRMRD has no room for.
    """
    rows = _part(table, part)
    own = np.dtype([(column, _HEADS[name] if column == "head" else "O") for column in rows.dtype.names])
    if rows.dtype == own:
        return rows
    converted = np.empty(rows.shape, own)
    for column in own.names or ():
        if column == "head":
            _copy(rows["head"], converted["head"], f"{table.name}/head")
        else:
            for number, values in enumerate(rows[column]):
                converted[column][number] = values
    return converted


def read_heads(table: h5py.Dataset) -> np.ndarray:
    """Headers of all readouts as one structured array of ismrmrd's type."""
    heads = table.fields("head")[()].reshape(-1)
    if heads.dtype == acquisition_header_dtype:
        return heads  # type: ignore[no-any-return]
    converted = np.empty(heads.shape, acquisition_header_dtype)
    _copy(heads, converted, f"{table.name}/head")
    return converted


def acquisition(row: np.void) -> ismrmrd.Acquisition | str:
    """A readout; what is wrong with it where it contradicts its own header."""
    head, data, places = row["head"], samples(row["data"]), reals(row["traj"])
    n_values = int(head["active_channels"]) * int(head["number_of_samples"])
    n_positions = int(head["trajectory_dimensions"]) * int(head["number_of_samples"])
    if data.size != n_values:
        return f"it holds {2 * data.size} numbers, its header says {2 * n_values}"
    if places.size != n_positions:
        return f"its trajectory holds {places.size} numbers, its header says {n_positions}"
    made = ismrmrd.Acquisition(head.tobytes())
    made.data[:] = data.reshape(made.data.shape)
    made.traj[:] = places.reshape(made.traj.shape)
    return made


def waveform(row: np.void) -> ismrmrd.Waveform:
    """A waveform; raises DataError where it contradicts its own header."""
    head = np.zeros(1, dtype=waveform_header_dtype)
    head[0] = row["head"]
    made = ismrmrd.Waveform(head)
    values = np.asarray(row["data"]).reshape(-1)
    if values.size != made.data.size or values.dtype.kind not in "iuf":
        raise DataError(
            f"a waveform holds {values.size} numbers ({values.dtype}), its header says {made.data.size}"
        )
    made.data[:] = values.astype(np.uint32, copy=False).reshape(made.data.shape)
    return made


def samples(values: Any) -> np.ndarray:
    """Complex samples that are stored as such, as pairs, or as real and imaginary parts in turn."""
    found = np.asarray(values).reshape(-1)
    if found.dtype.names is not None and len(found.dtype.names) == 2:
        real, imaginary = (found[name] for name in found.dtype.names)
        return (real + 1j * imaginary).astype(np.complex64)
    if found.dtype.kind == "c":
        return found.astype(np.complex64, copy=False)
    return np.ascontiguousarray(reals(found)[: found.size // 2 * 2]).view(np.complex64)


def reals(values: Any) -> np.ndarray:
    """Numbers as float32."""
    found = np.asarray(values).reshape(-1)
    if found.dtype.kind not in "iuf":
        raise DataError(f"the samples of a readout are of the type {found.dtype}, expected numbers")
    return found.astype(np.float32, copy=False)


def _part(table: h5py.Dataset, part: slice) -> np.ndarray:
    if table.ndim == 1:
        return table[part]  # type: ignore[no-any-return]
    axis = int(np.argmax(table.shape)) if table.shape else 0
    index = tuple(part if number == axis else 0 for number in range(table.ndim))
    return np.atleast_1d(table[index])


def _lacking(found: np.dtype, wanted: np.dtype, prefix: str = "") -> list[str]:
    """Fields that a type does not have, those of its parts included."""
    lacking = []
    for name in wanted.names or ():
        if found.names is None or name not in found.names:
            lacking.append(prefix + name)
        elif wanted[name].names is not None:
            lacking += _lacking(found[name], wanted[name], f"{name}.")
    return lacking


def _copy(source: np.ndarray, target: np.ndarray, name: str) -> None:
    """The fields of one structured array into another, by their names."""
    for key in target.dtype.names or ():
        if target.dtype[key].names is not None:
            _copy(source[key], target[key], f"{name}/{key}")
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            target[key] = source[key]
        if target.dtype[key].base.kind in "iu" and (target[key] != source[key]).any():
            raise DataError(
                f"{name}/{key} holds numbers that ISMRMRD has no room for, such as {_worst(source[key])}"
            )


def _worst(values: np.ndarray) -> str:
    return f"{values.reshape(-1)[np.abs(values.astype(float)).argmax()]:g}"
