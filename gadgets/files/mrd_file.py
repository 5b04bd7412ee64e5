"""ISMRMRD files: scans read, images written."""

from __future__ import annotations

import ctypes
import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import ismrmrd
import numpy as np

from gadgets.wire.header import header_text, parse_header
from gadgets.wire.wire import Session
from python_recon.config import nearest
from python_recon.errors import ConfigError, DataError, ProtocolError
from python_recon.resources.new_files import part_path, require_free

_log = logging.getLogger(__name__)
GROUP = "dataset"
CONFIG = "config"
"""Text of the configuration that a captured scan was reconstructed with."""
WAVEFORM_PLACES = "waveform_places"
"""For each waveform of a captured scan, how many readouts had come before it."""
TRUTH = "_truth"
"""Ends the name of the file beside a simulated scan that holds its truth."""
_BLOCK = 64
"""Readouts read at a time."""
_HEADER_BYTES = ctypes.sizeof(ismrmrd.AcquisitionHeader)


class ScanFile:
    """A measurement in an ISMRMRD file, opened read-only.

    Raises
    ------
    DataError
        When the file is missing, no HDF5, truncated, no ISMRMRD, or holds no readouts.
    """

    def __init__(self, path: Path, group: str = GROUP) -> None:
        self.path = path
        self.skipped: list[str] = []
        """What was left out while reading, one line each."""
        self._file = _open(path)
        try:
            self._group = _group(self._file, group, path)
            self.header = _header(self._group, path)
            self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ScanFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def header_xml(self) -> str:
        """The header, mended where the file's violates the schema."""
        return header_text(self.header)

    @property
    def session(self) -> Session:
        """What stands in front of the items: the header and, of a captured scan, the configuration."""
        return Session(self.header, _text(self._group[CONFIG]) if CONFIG in self._group else b"")

    @property
    def n_items(self) -> int:
        return self.n_acquisitions + self.n_waveforms

    @property
    def n_acquisitions(self) -> int:
        return int(self._group["data"].shape[0])

    @property
    def n_waveforms(self) -> int:
        return int(self._group["waveforms"].shape[0]) if "waveforms" in self._group else 0

    def heads(self) -> np.ndarray:
        """Headers of all readouts as one structured array."""
        return self._group["data"].fields("head")[:]  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Nothing to be done: reading a file never waits."""

    def items(self) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        """Readouts in order; waveforms where they came, if the file tells, else by time stamps."""
        is_known = WAVEFORM_PLACES in self._group
        yield from self._as_they_came() if is_known else self._by_time()
        if self.skipped:
            _log.warning("%s (%d in all)", self.skipped[0], len(self.skipped))

    def _as_they_came(self) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        acquisitions, n_before = self.acquisitions(), 0
        for place, waveform in zip(self._group[WAVEFORM_PLACES][:].tolist(), self._waveforms(), strict=True):
            yield from itertools.islice(acquisitions, place - n_before)
            n_before = place
            yield waveform
        yield from acquisitions

    def _by_time(self) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        waveforms = self._waveforms()
        waveform = next(waveforms, None)
        for acquisition in self.acquisitions():
            while waveform is not None and waveform.time_stamp <= acquisition.acquisition_time_stamp:
                yield waveform
                waveform = next(waveforms, None)
            yield acquisition
        if waveform is not None:
            yield waveform
            yield from waveforms

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Readouts; those that contradict their own header are left out and noted in ``skipped``."""
        self.skipped.clear()
        for start in range(0, self.n_acquisitions, _BLOCK):
            for offset, row in enumerate(self._rows("data", start)):
                if (fault := _fault(row)) is None:
                    yield _acquisition(row)
                else:
                    self.skipped.append(f"readout {start + offset} left out: {fault}")

    def _waveforms(self) -> Iterator[ismrmrd.Waveform]:
        for start in range(0, self.n_waveforms, _BLOCK):
            for row in self._rows("waveforms", start):
                yield _waveform(row)

    def _rows(self, name: str, start: int) -> np.ndarray:
        try:
            return self._group[name][start : start + _BLOCK]  # type: ignore[no-any-return]
        except OSError as error:
            raise DataError(
                f"{self.path} is damaged at entry {start} of {name} ({error}); copy it again"
            ) from error

    def _check(self) -> None:
        if "data" not in self._group or self._group["data"].size == 0:
            images = [name for name in self._group if name.startswith("image_")]
            hint = f"; it holds images ({', '.join(images)}), not a scan" if images else ""
            raise DataError(f"{self.path} holds no readouts in group {self._group.name}{hint}")
        kind = self._group["data"].dtype
        if kind.names is None or set(kind.names) != {"head", "traj", "data"}:
            raise DataError(f"{self.path}: {self._group.name}/data is no table of ISMRMRD acquisitions")
        if kind["head"].itemsize != _HEADER_BYTES:
            raise DataError(
                f"{self.path} has acquisition headers of {kind['head'].itemsize} bytes, this ISMRMRD version "
                f"has {_HEADER_BYTES}; convert the file with the ISMRMRD tools of its version"
            )


@dataclass
class ImageFile:
    """An output file that appears under its name only when it is whole.

    Images are appended to ``/group/image_<series_index>`` of a temporary file beside it;
    :meth:`commit` gives it its name, leaving the context without that removes it.

    Raises
    ------
    ConfigError
        When the file exists and may not be overwritten, or its folder cannot be written.
    """

    path: Path
    overwrite: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Images by ``group/series``."""
    _shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def __enter__(self) -> ImageFile:
        require_free(self.path, overwrite=self.overwrite)
        self._part = part_path(self.path)
        try:
            self._part.unlink(missing_ok=True)
            h5py.File(self._part, "w").close()
        except OSError as error:
            raise ConfigError(f"the output {self.path} cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.unlink(missing_ok=True)

    @property
    def n_images(self) -> int:
        return sum(self.counts.values())

    def write_header(self, group: str, xml: str) -> None:
        """Keep the scan's header beside its images."""
        with closing(ismrmrd.Dataset(str(self._part), group)) as dataset:
            dataset.write_xml_header(xml.encode())

    def append(self, group: str, image: ismrmrd.Image) -> None:
        """Add an image to its series; another size or type than the series has opens a new one."""
        series = self._series(group, image)
        with closing(ismrmrd.Dataset(str(self._part), group)) as dataset:
            dataset.append_image(series, image)
        self.counts[f"{group}/{series}"] += 1

    def commit(self) -> None:
        """Give the file its name."""
        self._part.replace(self.path)

    def _series(self, group: str, image: ismrmrd.Image) -> str:
        shape = (*image.data.shape, image.data_type)
        name = series = f"image_{image.image_series_index}"
        number = 1
        while self._shapes.setdefault(f"{group}/{series}", shape) != shape:
            number += 1
            series = f"{name}_{number}"
        if series != name and not self.counts[f"{group}/{series}"]:
            _log.warning("%s changed size or type in mid-series: stored as %s", name, series)
        return series


def _open(path: Path) -> h5py.File:
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
        raise DataError(
            f"{path} is not an HDF5 file; convert raw data first (siemens_to_ismrmrd, ge_to_ismrmrd, ...)"
        ) from error


def _group(file: h5py.File, name: str, path: Path) -> h5py.Group:
    group = file.get(name)
    if isinstance(group, h5py.Group):
        return group
    groups = [key for key, value in file.items() if isinstance(value, h5py.Group)]
    if not groups:
        raise DataError(f"{path} is not an ISMRMRD file: it has no group {name!r}, nor any other")
    raise DataError(f"{path} has no group {name!r}{nearest(name, groups)}; choose with -g")


def _header(group: h5py.Group, path: Path) -> ismrmrd.xsd.ismrmrdHeader:
    if "xml" not in group or group["xml"].size == 0:
        raise DataError(f"{path} is not an ISMRMRD file: group {group.name} has no XML header")
    try:
        return parse_header(_text(group["xml"]))
    except ProtocolError as error:
        raise DataError(f"{path} has an unreadable header: {error}") from error


def _text(dataset: h5py.Dataset) -> bytes:
    text = dataset[()] if dataset.shape == () else dataset[0]
    return text.encode() if isinstance(text, str) else bytes(text)


def _fault(row: np.void) -> str | None:
    head = row["head"]
    n_values = 2 * int(head["active_channels"]) * int(head["number_of_samples"])
    n_positions = int(head["trajectory_dimensions"]) * int(head["number_of_samples"])
    if row["data"].size != n_values:
        return f"it holds {row['data'].size} numbers, its header says {n_values}"
    if row["traj"].size != n_positions:
        return f"its trajectory holds {row['traj'].size} numbers, its header says {n_positions}"
    return None


def _acquisition(row: np.void) -> ismrmrd.Acquisition:
    acquisition = ismrmrd.Acquisition(row["head"].tobytes())
    acquisition.data[:] = row["data"].view(np.complex64).reshape(acquisition.data.shape)
    acquisition.traj[:] = row["traj"].reshape(acquisition.traj.shape)
    return acquisition


def _waveform(row: np.void) -> ismrmrd.Waveform:
    head = np.zeros(1, dtype=ismrmrd.hdf5.waveform_header_dtype)
    head[0] = row["head"]
    waveform = ismrmrd.Waveform(head)
    waveform.data[:] = row["data"].view(np.uint32).reshape(waveform.data.shape)
    return waveform
