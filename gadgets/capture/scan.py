"""What a captured file holds: the scan as it came, and the configuration that made its images."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

import ismrmrd
import numpy as np
import yaml
from ismrmrd.hdf5 import acquisition_header_dtype, waveform_dtype, waveform_header_dtype

from gadgets.files.tables import NewScan, readout_rows
from gadgets.wire import buffers
from python_recon.config import Config

Row: TypeAlias = "ismrmrd.Acquisition | ismrmrd.Waveform"
"""What has a line of its own in a file."""

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


class CapturedScan(NewScan):
    """A scan as it comes; one more table than the standard's tells where waveforms came between readouts."""

    def append(self, rows: Sequence[Row]) -> None:
        """Append readouts and waveforms, in order."""
        acquisitions: list[ismrmrd.Acquisition] = []
        waveforms: list[ismrmrd.Waveform] = []
        places: list[int] = []
        for row in rows:
            if isinstance(row, ismrmrd.Waveform):
                places.append(self.n_readouts + len(acquisitions))
                waveforms.append(row)
            else:
                acquisitions.append(row)
        heads = _heads(acquisitions, acquisition_header_dtype)
        samples, trajectories = ([getattr(each, name) for each in acquisitions] for name in ("data", "traj"))
        self.append_readouts(readout_rows(heads, samples, trajectories))
        if waveforms:
            self.append_waveforms(_waveform_rows(waveforms))
            self.append_waveform_places(np.array(places, "<u8"))


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
