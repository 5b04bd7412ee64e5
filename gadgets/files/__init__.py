"""ISMRMRD files read and written: scans, slices, images, tables, and what `info` tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from python_recon.data import KSpace


def load(
    path: str | Path, settings: Mapping[str, Any] | None = None, *, group: str = "dataset"
) -> list[KSpace]:
    """K-space of each slice of a radial scan, for :func:`python_recon.reconstruct`.

    Parameters
    ----------
    path
        An ISMRMRD file.
    settings
        Names and values, such as ``{"binning.spokes_per_frame": 21}``: see the table in
        ``python_recon/README.md``.
    group
        HDF5 group of the scan.

    Returns
    -------
        One for each slice, contrast and set, in the order in which they begin: cut into frames, with times,
        geometry and physiology, and whitened where there is a noise scan.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds no radial scan.
    ConfigError
        For an unknown setting.
    """
    from gadgets.files.slices import read_slices
    from python_recon.config import load_config

    return read_slices(Path(path), group, load_config(settings or {}))
