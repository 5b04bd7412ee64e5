"""ISMRMRD files of scans, written as the readouts come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import h5py
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype, waveform_dtype

from gadgets.files.mrd_file import GROUP, WAVEFORM_PLACES
from python_recon.errors import ConfigError
from python_recon.resources.new_files import new_file

_CHUNK = 64
"""Rows that lie together in the file."""
_DTYPES = {"data": acquisition_dtype, "waveforms": waveform_dtype, WAVEFORM_PLACES: np.dtype("<u8")}
_NO_PLACES = np.empty(0, np.float32)


class NewScan:
    """A measurement in a new HDF5 file: its header, and tables that are appended to."""

    def __init__(self, file: h5py.File, header_xml: bytes) -> None:
        self._group = file.create_group(GROUP)
        self._tables: dict[str, h5py.Dataset] = {}
        self.write_text("xml", header_xml)
        self.append_readouts(np.empty(0, acquisition_dtype))

    @property
    def n_readouts(self) -> int:
        return len(self._tables["data"])

    def write_text(self, name: str, text: bytes) -> None:
        """Keep a text beside the tables."""
        self._group.create_dataset(name, data=[text], dtype=h5py.string_dtype("ascii"))

    def append_readouts(self, rows: np.ndarray) -> None:
        """Append rows as :func:`readout_rows` makes them."""
        self._append("data", rows)

    def append_waveforms(self, rows: np.ndarray) -> None:
        """Append rows of ismrmrd.hdf5.waveform_dtype; without any, there is no table of them."""
        self._append("waveforms", rows)

    def append_waveform_places(self, places: np.ndarray) -> None:
        """Append, for each waveform, how many readouts had come before it."""
        self._append(WAVEFORM_PLACES, places)

    def _append(self, name: str, rows: np.ndarray) -> None:
        if name not in self._tables:
            self._tables[name] = self._group.create_dataset(
                name, (0,), _DTYPES[name], maxshape=(None,), chunks=(_CHUNK,)
            )
        table = self._tables[name]
        start = len(table)
        table.resize(start + len(rows), axis=0)
        table[start:] = rows


@contextmanager
def new_hdf5(path: Path, *, overwrite: bool) -> Iterator[h5py.File]:
    """An HDF5 file that gets its name when all went well, and is removed otherwise.

    Raises
    ------
    ConfigError
        When the file exists and may not be replaced, or cannot be written.
    """
    try:
        with new_file(path, overwrite=overwrite) as part, h5py.File(part, "w") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"the output {path} cannot be written: {error}") from error


def write_scan(path: Path, header_xml: bytes, blocks: Iterable[np.ndarray], *, overwrite: bool) -> int:
    """Write a scan; the file appears under its name only when it is whole.

    Parameters
    ----------
    blocks
        Readouts, as rows that :func:`readout_rows` makes.

    Returns
    -------
    Number of readouts.

    Raises
    ------
    ConfigError
        When the file exists and may not be replaced, or cannot be written.
    """
    with new_hdf5(path, overwrite=overwrite) as file:
        scan = NewScan(file, header_xml)
        for rows in blocks:
            scan.append_readouts(rows)
        return scan.n_readouts


def readout_rows(
    heads: np.ndarray, data: Iterable[np.ndarray], trajectories: Iterable[np.ndarray] | None = None
) -> np.ndarray:
    """Readouts as a file holds them.

    Parameters
    ----------
    heads
        (spoke,) of ismrmrd.hdf5.acquisition_header_dtype.
    data
        (coil, readout) complex of each spoke.
    trajectories
        (readout, dimension) of each spoke; None: none has one.
    """
    rows = np.empty(len(heads), acquisition_dtype)
    rows["head"] = heads
    places = repeat(_NO_PLACES, len(heads)) if trajectories is None else trajectories
    for row, samples, place in zip(rows, data, places, strict=True):
        row["data"] = np.ascontiguousarray(samples, "<c8").reshape(-1).view("<f4")
        row["traj"] = np.asarray(place, "<f4").reshape(-1)
    return rows
