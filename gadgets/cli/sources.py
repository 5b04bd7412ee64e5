"""The scans that ``compare`` runs on: files, and scenes that are simulated when their turn comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gadgets.files.hdf5 import dataset, open_hdf5
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.scenes import SCENES, scene
from python_recon.config import Config
from python_recon.data import KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.evaluation.runs import Source
from python_recon.resources.schedule import ProgressReport


@dataclass(frozen=True)
class SliceReader:
    """Which slice of a scan is compared on, and how it is read."""

    config: Config
    number: int
    group: str

    def read(self, scan: Path, truth: Path | None) -> tuple[KSpace, np.ndarray | None]:
        """k-space of the slice, and its truth."""
        from gadgets.files.slices import read_slice

        kspace = read_slice(scan, self.group, self.number, self.config)
        return kspace, None if truth is None else read_truth(truth, self.number)


@dataclass(frozen=True)
class _Files:
    reader: SliceReader
    scan: Path
    truth: Path | None

    def __call__(self, report: ProgressReport) -> tuple[KSpace, np.ndarray | None]:
        report("reading", 0.0)
        return self.reader.read(self.scan, self.truth)


@dataclass(frozen=True)
class _Simulation:
    reader: SliceReader
    options: SimulateOptions

    def __call__(self, report: ProgressReport) -> tuple[KSpace, np.ndarray | None]:
        from gadgets.simulation.scan import simulate

        with TemporaryDirectory() as folder:
            scan = Path(folder) / "scan.h5"
            return self.reader.read(scan, simulate(scan, self.options, report=report))


def sources_from_files(scans: Sequence[Path], truths: Sequence[Path], reader: SliceReader) -> list[Source]:
    """Scans named by their files.

    Raises
    ------
    ConfigError
        If there are truths, but not as many as scans.
    """
    if truths and len(truths) != len(scans):
        raise ConfigError(
            f"there are {len(scans)} scans and {len(truths)} truths: give --truth once for every --file, "
            "in the same order, or leave it out"
        )
    stems = Counter([*(path.stem for path in scans), *SCENES])
    names = [path.stem if stems[path.stem] == 1 else str(path) for path in scans]
    pairs = zip(scans, truths or [None] * len(scans), strict=True)
    return [Source(name, _Files(reader, *pair)) for name, pair in zip(names, pairs, strict=True)]


def simulated_sources(
    names: Sequence[str], seeds: int, changes: Mapping[str, Any], reader: SliceReader
) -> list[Source]:
    """Scenes, each simulated once for every seed.

    Raises
    ------
    ConfigError
        For an unknown scene or option, and for a value out of range.
    """
    return [
        Source(name, _Simulation(reader, scene(name, seed, changes)), repeat=seed)
        for name in names
        for seed in range(seeds)
    ]


def read_truth(path: Path, number: int) -> np.ndarray:
    """(frame, y, x) images of a slice, from a file as ``simulate`` writes it.

    Raises
    ------
    DataError
        If the file is none, or has no such slice.
    """
    try:
        return _read_truth(path, number)
    except DataError as error:
        raise DataError(f"{path} is no truth as `simulate` writes it: {error}") from error


def _read_truth(path: Path, number: int) -> np.ndarray:
    with open_hdf5(path) as file:
        images = dataset(file, "images", path)
        if images is None or images.ndim != 4:
            raise DataError("it lacks images of 4 dimensions")
        if number >= len(images):
            raise DataError(f"it has {len(images)} slices, there is no slice {number}")
        return np.asarray(images[number])
