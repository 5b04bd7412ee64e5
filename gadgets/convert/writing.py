"""ISMRMRD files of readouts, written as they come."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype

from python_recon.errors import ConfigError

_BLOCK = 256
"""Readouts written at a time."""


def write_scan(path: Path, header_xml: bytes, readouts: Iterable[np.ndarray], *, overwrite: bool) -> int:
    """Write a scan; the file appears under its name only when it is whole.

    Parameters
    ----------
    readouts
        Blocks of rows as :func:`rows` makes them.

    Returns
    -------
    Number of readouts.

    Raises
    ------
    ConfigError
        When the file exists and may not be replaced, or cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"the output {path} is a folder; give a file name")
    if path.exists() and not overwrite:
        raise ConfigError(f"the output {path} exists; choose another name or say --overwrite")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            group = file.create_group("dataset")
            group.create_dataset("xml", data=[header_xml], dtype=h5py.special_dtype(vlen=bytes))
            n_readouts = _write_blocks(group, readouts)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"the output {path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return n_readouts


def rows(heads: np.ndarray, data: np.ndarray, trajectory: np.ndarray | None = None) -> np.ndarray:
    """Readouts as a file holds them.

    Parameters
    ----------
    heads
        (spoke,) of ismrmrd.hdf5.acquisition_header_dtype.
    data
        (spoke, coil, readout) complex64.
    trajectory
        (spoke, readout, 2) or None.
    """
    filled = np.empty(len(heads), acquisition_dtype)
    filled["head"] = heads
    data = np.ascontiguousarray(data, np.complex64)
    positions = (
        np.zeros((len(heads), 0), np.float32)
        if trajectory is None
        else np.ascontiguousarray(trajectory, np.float32)
    )
    for row, samples, place in zip(filled, data, positions, strict=True):
        row["data"], row["traj"] = samples.view(np.float32).ravel(), place.ravel()
    return filled


def _write_blocks(group: h5py.Group, readouts: Iterable[np.ndarray]) -> int:
    table = group.create_dataset("data", (0,), maxshape=(None,), dtype=acquisition_dtype, chunks=(_BLOCK,))
    for block in readouts:
        start = len(table)
        table.resize(start + len(block), axis=0)
        table[start:] = block
    return len(table)
