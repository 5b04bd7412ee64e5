"""The message ids of Gadgetron and MRD streams, and the items that only this wire knows."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import ismrmrd
import numpy as np

OBJECT_BYTES = 1000
"""What a header, with all that Python keeps beside it, takes of the memory, about; its arrays come on top."""
EMPTY_HEAD = ismrmrd.AcquisitionHeader()
"""Stands for all lines that no readout filled."""


class MessageId(IntEnum):
    """What follows on the wire; a uint16 in front of every message."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    ERROR = 8
    ACQUISITION = 1008
    IMAGE = 1022
    RECON_DATA = 1023
    WAVEFORM = 1026
    BUCKET = 1050


class Text(str):
    """A TEXT message."""

    __slots__ = ()


class ErrorText(str):
    """An ERROR message: what went wrong at the peer."""

    __slots__ = ()


_SAYS_ERROR = re.compile(r"(\[.*\] )?(ERROR|CRITICAL)\b")
"""A Gadgetron server tells errors as ``[place] ERROR: text``, MRD servers as ``ERROR text``."""


def is_error(item: Any) -> bool:
    """Whether an item says what went wrong: an ERROR, or a TEXT that says so."""
    return isinstance(item, ErrorText) or (isinstance(item, Text) and bool(_SAYS_ERROR.match(item)))


class SamplingLimit(ctypes.Structure):
    """First, central and last sample of one axis."""

    _fields_ = (("min", ctypes.c_uint16), ("center", ctypes.c_uint16), ("max", ctypes.c_uint16))


class SamplingDescription(ctypes.Structure):
    """Matrices and fields of view (mm) of a buffer, along x, y and z."""

    _fields_ = (
        ("encoded_fov", ctypes.c_float * 3),
        ("recon_fov", ctypes.c_float * 3),
        ("encoded_matrix", ctypes.c_uint16 * 3),
        ("recon_matrix", ctypes.c_uint16 * 3),
        ("sampling_limits", SamplingLimit * 3),
    )


@dataclass(frozen=True)
class ReconBuffer:
    """Sorted readouts, in Gadgetron's axis order (first axis fastest on the wire)."""

    data: np.ndarray
    """(E0 readout, E1, E2, coil, N, S, LOC) complex64."""
    headers: np.ndarray
    """(E1, E2, N, S, LOC) ismrmrd.AcquisitionHeader objects; EMPTY_HEAD where no readout came."""
    trajectory: np.ndarray | None = None
    """(dimension, E0, E1, E2, N, S, LOC) float32."""
    density: np.ndarray | None = None
    """(E0, E1, E2, N, S, LOC) float32."""
    sampling: SamplingDescription = field(default_factory=SamplingDescription)


@dataclass(frozen=True)
class ReconBit:
    """The buffer of one encoding space and its calibration data."""

    data: ReconBuffer
    reference: ReconBuffer | None = None


@dataclass(frozen=True)
class ReconData:
    """One RECON_DATA message: a bit for each encoding space."""

    bits: tuple[ReconBit, ...]


@dataclass(frozen=True)
class AcquisitionBucket:
    """One BUCKET message: unsorted readouts; calibration readouts once more on their own."""

    acquisitions: tuple[ismrmrd.Acquisition, ...] = ()
    references: tuple[ismrmrd.Acquisition, ...] = ()
    waveforms: tuple[ismrmrd.Waveform, ...] = ()
