"""ISMRMRD files as scans to train on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gadgets.files.mrd_file import TRUTH
from gadgets.files.slices import read_slices
from python_recon.config import Config
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.training.cache import ScanSource

_SUFFIXES = (".h5", ".mrd", ".hdf5")


def training_scans(folders: Sequence[Path], group: str, config: Config) -> list[ScanSource]:
    """The scans in folders, and in those below them; files may be named as well.

    Raises
    ------
    DataError
        If a folder is missing, or there is no scan in any.
    """
    paths: list[Path] = []
    for folder in folders:
        if not folder.exists():
            raise DataError(f"there is no folder {folder}")
        found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        paths += [path for path in found if path.suffix in _SUFFIXES and not path.stem.endswith(TRUTH)]
    if not paths:
        raise DataError(
            f"{', '.join(map(str, folders))} hold no scan: expected ISMRMRD files ({', '.join(_SUFFIXES)}), "
            "as `gadgetron-pisco serve --capture` keeps them or `convert` makes them"
        )
    return [_source(path, group, config) for path in dict.fromkeys(path.resolve() for path in paths)]


def _source(path: Path, group: str, config: Config) -> ScanSource:
    status = path.stat()

    def read() -> Iterable[KSpace]:
        return read_slices(path, group, config)

    return ScanSource(path.name, f"{path} {group} {status.st_size} {status.st_mtime_ns}", read)
