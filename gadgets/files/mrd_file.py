"""ISMRMRD files: scans read, images written."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import ismrmrd
import numpy as np

from gadgets.files.hdf5 import dataset, member, open_file, reading
from gadgets.files.rows import acquisition, check_table, read_heads, read_rows, waveform
from gadgets.translate.clock import is_later
from gadgets.wire.header import header_text, parse_header
from gadgets.wire.wire import Session
from python_recon.config import nearest
from python_recon.errors import ConfigError, DataError, ProtocolError
from python_recon.resources.new_files import new_part, require_free

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
_T = TypeVar("_T")


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
        self._file = open_file(path)
        try:
            with reading(path, "its header and tables"):
                self._group = _group(self._file, group, path)
                self.header = _header(self._group, path)
                self._table = self._checked("data")
                self._waveform_table = self._checked("waveforms") if "waveforms" in self._group else None
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
        with reading(self.path, CONFIG):
            config = dataset(self._group, CONFIG, self.path)
            return Session(self.header, b"" if config is None else _text(config))

    @property
    def n_items(self) -> int:
        return self.n_acquisitions + self.n_waveforms

    @property
    def n_acquisitions(self) -> int:
        return int(self._table.size)

    @property
    def n_waveforms(self) -> int:
        return 0 if self._waveform_table is None else int(self._waveform_table.size)

    def heads(self) -> np.ndarray:
        """Headers of all readouts as one structured array."""
        with reading(self.path, "the headers of the readouts"):
            return read_heads(self._table)

    def stop(self) -> None:
        """Nothing to be done: reading a file never waits."""

    def items(self) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        """Readouts in order; waveforms where they came, if the file tells, else by time stamps."""
        places = self._waveform_places()
        yield from self._by_time() if places is None else self._as_they_came(places)
        if self.skipped:
            _log.warning("%s (%d in all)", self.skipped[0], len(self.skipped))

    def _waveform_places(self) -> list[int] | None:
        with reading(self.path, WAVEFORM_PLACES):
            table = dataset(self._group, WAVEFORM_PLACES, self.path)
            if table is None:
                return None
            places = [int(place) for place in np.ravel(table[()])]
        if len(places) != self.n_waveforms or places != sorted(places):
            _log.warning("%s: the places of the waveforms are damaged; time stamps tell them", self.path)
            return None
        return places

    def _as_they_came(self, places: Sequence[int]) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        acquisitions, n_before = self.acquisitions(), 0
        for place, item in zip(places, self._waveforms(), strict=True):
            yield from itertools.islice(acquisitions, place - n_before)
            n_before = place
            yield item
        yield from acquisitions

    def _by_time(self) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
        waveforms = self._waveforms()
        due = next(waveforms, None)
        for readout in self.acquisitions():
            while due is not None and not is_later(due.time_stamp, readout.acquisition_time_stamp):
                yield due
                due = next(waveforms, None)
            yield readout
        if due is not None:
            yield due
            yield from waveforms

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Readouts; those that contradict their own header are left out and noted in ``skipped``."""
        self.skipped.clear()
        for start in range(0, self.n_acquisitions, _BLOCK):
            for offset, row in enumerate(self._rows(self._table, "data", start)):
                found = self._made(acquisition, row, f"readout {start + offset}")
                if isinstance(found, ismrmrd.Acquisition):
                    yield found
                else:
                    self.skipped.append(f"readout {start + offset} left out: {found}")
        if len(self.skipped) == self.n_acquisitions:
            raise DataError(f"{self.path} holds no readout that can be read: {self.skipped[0]}")

    def _waveforms(self) -> Iterator[ismrmrd.Waveform]:
        if self._waveform_table is None:
            return
        for start in range(0, self.n_waveforms, _BLOCK):
            for offset, row in enumerate(self._rows(self._waveform_table, "waveforms", start)):
                yield self._made(waveform, row, f"waveform {start + offset}")

    def _rows(self, table: h5py.Dataset, name: str, start: int) -> np.ndarray:
        with reading(self.path, f"it is damaged at entry {start} of {name}"):
            return read_rows(table, name, slice(start, start + _BLOCK))

    def _made(self, make: Callable[[np.void], _T], row: np.void, what: str) -> _T:
        with reading(self.path, what):
            return make(row)

    def _checked(self, name: str) -> h5py.Dataset:
        table = dataset(self._group, name, self.path)
        if table is None or table.size == 0:
            images = [held for held in self._group if held.startswith("image_")]
            hint = f"; it holds images ({', '.join(images)}), not a scan" if images else ""
            raise DataError(f"{self.path} holds no readouts in group {self._group.name}{hint}")
        check_table(table, name)
        return table


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
        with ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._part = stack.enter_context(new_part(self.path))
                h5py.File(self._part, "w").close()
            except OSError as error:
                raise ConfigError(f"the output {self.path} cannot be written: {error}") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def n_images(self) -> int:
        return sum(self.counts.values())

    def write_header(self, group: str, xml: str) -> None:
        """Keep the scan's header beside its images."""
        with closing(ismrmrd.Dataset(str(self._part), group)) as file:
            file.write_xml_header(xml.encode())

    def append(self, group: str, image: ismrmrd.Image) -> None:
        """Add an image to its series; another size or type than the series has opens a new one."""
        series = self._series(group, image)
        with closing(ismrmrd.Dataset(str(self._part), group)) as file:
            file.append_image(series, image)
        self.counts[f"{group}/{series}"] += 1

    def commit(self) -> None:
        """Give the file its name."""
        require_free(self.path, overwrite=self.overwrite)
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


def _group(file: h5py.File, name: str, path: Path) -> h5py.Group:
    group = member(file, name, path)
    if isinstance(group, h5py.Group):
        return group
    groups = [key for key in file if file.get(key, getclass=True, getlink=False) is h5py.Group]
    if not groups:
        raise DataError(f"{path} is not an ISMRMRD file: it has no group {name!r}, nor any other")
    raise DataError(f"{path} has no group {name!r}{nearest(name, groups)}; choose with -g")


def _header(group: h5py.Group, path: Path) -> ismrmrd.xsd.ismrmrdHeader:
    xml = dataset(group, "xml", path)
    if xml is None or xml.size == 0:
        raise DataError(f"{path} is not an ISMRMRD file: group {group.name} has no XML header")
    try:
        return parse_header(_text(xml))
    except ProtocolError as error:
        raise DataError(f"{path} has an unreadable header: {error}") from error


def _text(found: h5py.Dataset) -> bytes:
    """A text that is stored as one or as its bytes, in a data set of any shape."""
    values = np.ravel(found[()])
    if values.dtype.kind in "iu":
        return values.astype(np.uint8).tobytes()
    text = values[0]
    return text.encode() if isinstance(text, str) else bytes(text)
