"""A scan's k-space, frame by frame and slice by slice, without any stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from gadgets.files.mrd_file import ScanFile
from gadgets.translate.readouts import ReadoutStream
from python_recon.acquisition.binning.binning import bin_frames, stack_frames
from python_recon.acquisition.gating.cardiac_frames import gate
from python_recon.config import Config
from python_recon.data import KSpace, Readout
from python_recon.errors import DataError
from python_recon.stream.chain import image_matrix, prepare_readouts


def read_slice(path: Path, group: str, number: int, config: Config) -> KSpace:
    """All frames of one slice (its first contrast, set and run), whitened, located and gated.

    Raises
    ------
    DataError
        When the file cannot be read or has no such slice.
    """
    found: set[int] = set()

    def is_wanted(frame: KSpace) -> bool:
        found.add(frame.counters.slice)
        return frame.counters.slice == number

    slices = read_slices(path, group, config, is_wanted)
    if not slices:
        raise DataError(f"{path} has no slice {number}; it has {', '.join(map(str, sorted(found)))}")
    return slices[0]


def read_slices(
    path: Path, group: str, config: Config, is_wanted: Callable[[KSpace], bool] = lambda _frame: True
) -> list[KSpace]:
    """The same of every slice, contrast, set and run, in the order in which they begin.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    frames: dict[tuple[int, int, int, int], list[KSpace]] = {}
    with ScanFile(path, group) as scan_file:
        stream = ReadoutStream(scan_file.items(), scan_file.header)
        for frame in _bin(stream, stream, config):
            if is_wanted(frame):
                counters = frame.counters
                key = (counters.slice, counters.contrast, counters.set, frame.run)
                frames.setdefault(key, []).append(frame)
    physiology = stream.physiology.so_far()
    return [gate(stack_frames(members), physiology, config.binning) for members in frames.values()]


def outline_frames(scan_file: ScanFile, config: Config) -> Iterator[KSpace]:
    """The frames before gating, of the first coil and not whitened: quick and small."""
    config = config.model_copy(update={"noise": config.noise.model_copy(update={"prewhiten": False})})
    stream = ReadoutStream(scan_file.acquisitions(), scan_file.header)
    first_coil = (replace(readout, data=readout.data[:1]) for readout in stream)
    yield from _bin(first_coil, stream, config)


def _bin(readouts: Iterable[Readout], stream: ReadoutStream, config: Config) -> Iterator[KSpace]:
    located = prepare_readouts(stream.physiology.stamped(readouts), stream.scan, config)
    return bin_frames(located, stream.scan, config.binning, image_matrix(stream.scan, config))
