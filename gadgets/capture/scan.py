"""What a captured file holds: the scan as it came, and the configuration that made its images."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

import h5py
import ismrmrd
import numpy as np
import yaml
from ismrmrd.hdf5 import (
    acquisition_dtype,
    acquisition_header_dtype,
    waveform_dtype,
    waveform_header_dtype,
)

from gadgets import buffers
from gadgets.mrd_file import CONFIG, GROUP, WAVEFORM_PLACES
from python_recon.config import Config

Row: TypeAlias = "ismrmrd.Acquisition | ismrmrd.Waveform"
"""What has a line of its own in a file."""

_CHUNK = 64
_ANONYMOUS_MEASUREMENT = (
    "seriesDate",
    "seriesTime",
    "seriesInstanceUIDRoot",
    "frameOfReferenceUID",
    "referencedImageSequence",
)
_ANONYMOUS_SYSTEM = ("institutionName", "stationName", "deviceID", "deviceSerialNumber")
_TELLING = re.compile("patient|subject|birth|physician|operator|institution|accession", re.IGNORECASE)
_READERS = ("AcquisitionReader", "WaveformReader")
_WRITERS = ("ImageWriter",)


class ScanTables:
    """The tables of an ISMRMRD measurement, in a new file, appended to.

    Beside those of the standard there is one that tells where the waveforms came between the readouts.
    """

    def __init__(self, file: BinaryIO, header_xml: str) -> None:
        self._file = h5py.File(file, "w")
        self._group = self._file.create_group(GROUP)
        self._write_text("xml", header_xml)
        self._acquisitions = self._table("data", acquisition_dtype)
        self._waveforms: h5py.Dataset | None = None

    def __enter__(self) -> ScanTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def n_acquisitions(self) -> int:
        return len(self._acquisitions)

    def write_config(self, xml: str) -> None:
        """Keep a configuration beside the scan."""
        self._write_text(CONFIG, xml)

    def append(self, rows: Sequence[Row]) -> None:
        """Append to both tables, in order."""
        acquisitions: list[ismrmrd.Acquisition] = []
        waveforms: list[ismrmrd.Waveform] = []
        places: list[int] = []
        for row in rows:
            if isinstance(row, ismrmrd.Waveform):
                places.append(self.n_acquisitions + len(acquisitions))
                waveforms.append(row)
            else:
                acquisitions.append(row)
        _append(self._acquisitions, _acquisition_rows(acquisitions))
        if waveforms:
            if self._waveforms is None:
                self._waveforms = self._table("waveforms", waveform_dtype)
                self._places = self._table(WAVEFORM_PLACES, np.dtype("<u8"))
            _append(self._waveforms, _waveform_rows(waveforms))
            _append(self._places, np.array(places, "<u8"))

    def _table(self, name: str, dtype: np.dtype) -> h5py.Dataset:
        return self._group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(_CHUNK,))

    def _write_text(self, name: str, text: str) -> None:
        self._group.create_dataset(name, (1,), h5py.string_dtype("ascii"))[0] = text.encode()


def _append(table: h5py.Dataset, rows: np.ndarray) -> None:
    start = len(table)
    table.resize(start + len(rows), axis=0)
    table[start:] = rows


def _acquisition_rows(acquisitions: Sequence[ismrmrd.Acquisition]) -> np.ndarray:
    rows = np.empty(len(acquisitions), acquisition_dtype)
    rows["head"] = _heads(acquisitions, acquisition_header_dtype)
    for row, acquisition in zip(rows, acquisitions, strict=True):
        row["traj"] = np.asarray(acquisition.traj, "<f4").reshape(-1)
        row["data"] = np.ascontiguousarray(acquisition.data, "<c8").reshape(-1).view("<f4")
    return rows


def _waveform_rows(waveforms: Sequence[ismrmrd.Waveform]) -> np.ndarray:
    rows = np.empty(len(waveforms), waveform_dtype)
    rows["head"] = _heads(waveforms, waveform_header_dtype)
    for row, waveform in zip(rows, waveforms, strict=True):
        row["data"] = np.asarray(waveform.data, "<u4").reshape(-1)
    return rows


def _heads(rows: Sequence[Row], dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(b"".join(bytes(row.getHead()) for row in rows), dtype)


def unpacked(item: Any) -> Iterator[Row]:
    """The readouts and waveforms of an item: those that the reconstruction sees; of others, nothing."""
    yield from buffers.unpacked([item], Counter())


def without_names(header: ismrmrd.xsd.ismrmrdHeader) -> ismrmrd.xsd.ismrmrdHeader:
    """The header without patient, study and site, dates, and parameters whose names tell of them.

    All that a reconstruction could need stays, the measurement's id with it. So does free text such as the
    protocol's name.
    """
    header = copy.deepcopy(header)
    header.subjectInformation = header.studyInformation = None
    _empty(header.measurementInformation, _ANONYMOUS_MEASUREMENT)
    _empty(header.acquisitionSystemInformation, _ANONYMOUS_SYSTEM)
    for holder in (header, *header.waveformInformation):
        _untell(holder.userParameters)
    return header


def _empty(section: Any, names: Sequence[str]) -> None:
    for name in names if section is not None else ():
        setattr(section, name, None)


def _untell(parameters: Any) -> None:
    """Drop parameters by their names, and all encoded ones: they hold whole protocols."""
    if parameters is None:
        return
    parameters.userParameterBase64.clear()
    for name in ("userParameterLong", "userParameterDouble", "userParameterString"):
        kept = [each for each in getattr(parameters, name) if not _TELLING.search(each.name)]
        setattr(parameters, name, kept)


def configuration_text(config: Config) -> str:
    """A Gadgetron configuration with every setting spelt out, so that later defaults do not change it."""
    root = Element("configuration")
    SubElement(root, "version").text = "2"
    for kind, names in (("reader", _READERS), ("writer", _WRITERS)):
        ends = SubElement(root, f"{kind}s")
        for name in names:
            end = SubElement(ends, kind)
            SubElement(end, "dll").text = f"gadgetron_core_{kind}s"
            SubElement(end, "classname").text = name
    node = SubElement(SubElement(root, "stream"), "external")
    SubElement(node, "execute", type="python", name="gadgets.radial", target="reconstruct")
    properties = SubElement(node, "configuration")
    for name, text in _properties(config.model_dump()):
        SubElement(properties, "property", name=name, value=text)
    return tostring(root, encoding="unicode")


def _properties(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _properties(value, f"{prefix}{name}.")
        elif value != "":  # properties cannot say this
            yield f"{prefix}{name}", value if isinstance(value, str) else _as_yaml(value)


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump([value], default_flow_style=True, width=float("inf")).strip()[1:-1]
