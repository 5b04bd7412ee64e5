"""A scan's k-space, frame by frame and slice by slice, without any stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    frames: dict[tuple[int, int, int], list[KSpace]] = {}
    found: set[int] = set()
    with ScanFile(path, group) as scan_file:
        stream = ReadoutStream(scan_file.items(), scan_file.header)
        for frame in _bin(stream, stream, config):
            found.add(frame.counters.slice)
            if frame.counters.slice == number:
                frames.setdefault((frame.counters.contrast, frame.counters.set, frame.run), []).append(frame)
    if not frames:
        raise DataError(f"{path} has no slice {number}; it has {', '.join(map(str, sorted(found)))}")
    return gate(stack_frames(next(iter(frames.values()))), stream.physiology.so_far(), config.binning)


def outline_frames(scan_file: ScanFile, config: Config) -> Iterator[KSpace]:
    """The frames before gating, of the first coil and not whitened: quick and small."""
    config = config.model_copy(update={"noise": config.noise.model_copy(update={"prewhiten": False})})
    stream = ReadoutStream(scan_file.acquisitions(), scan_file.header)
    first_coil = (replace(readout, data=readout.data[:1]) for readout in stream)
    yield from _bin(first_coil, stream, config)


def _bin(readouts: Iterable[Readout], stream: ReadoutStream, config: Config) -> Iterator[KSpace]:
    located = prepare_readouts(stream.physiology.stamped(readouts), stream.scan, config)
    return bin_frames(located, stream.scan, config.binning, image_matrix(stream.scan, config))
