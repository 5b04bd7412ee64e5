"""Bodies of the messages: from bytes to items and back.

All numbers are little-endian. The layouts are those of ISMRMRD (acquisition, image, waveform) and of
Gadgetron (recon data, acquisition bucket). ``read_*`` take what follows the message id from a
:class:`Reader`; ``*_parts`` give the pieces that follow it.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from xml.etree.ElementTree import ParseError

import ismrmrd
import numpy as np
from ismrmrd.constants import ACQ_COMPRESSION1, ACQ_COMPRESSION4
from ismrmrd.image import ImageHeader
from ismrmrd.waveform import WaveformHeader

from gadgets.wire.channels import Buffer, bounded
from gadgets.wire.messages import (
    EMPTY_HEAD,
    OBJECT_BYTES,
    AcquisitionBucket,
    ReconBit,
    ReconBuffer,
    ReconData,
    SamplingDescription,
)
from gadgets.wire.reader import MAX_ARRAY_BYTES, MAX_TEXT_BYTES, Reader, memory_of
from python_recon.errors import ProtocolError

MAX_CHANNELS = 1024  # what the channel mask can hold
MAX_AXES = 16
MAX_BITS = 256

PIXEL_TYPES = {
    1: np.dtype("<u2"),
    2: np.dtype("<i2"),
    3: np.dtype("<u4"),
    4: np.dtype("<i4"),
    5: np.dtype("<f4"),
    6: np.dtype("<f8"),
    7: np.dtype("<c8"),
    8: np.dtype("<c16"),
}

_COMPRESSED = sum(1 << (flag - 1) for flag in range(ACQ_COMPRESSION1, ACQ_COMPRESSION4 + 1))
_SAMPLES, _COORDINATES, _WAVES = np.dtype("<c8"), np.dtype("<f4"), np.dtype("<u4")
Head = TypeVar("Head")

_BUCKET_SIZES = struct.Struct("<4Q4Q2Q3Q")


# Acquisitions, waveforms, images


def read_acquisition(reader: Reader) -> ismrmrd.Acquisition:
    """An acquisition: header, trajectory, samples."""
    head = _acquisition_header(reader)
    trajectory = _read_trajectory(reader, head)
    return ismrmrd.Acquisition(head, _read_samples(reader, head), trajectory)


def acquisition_parts(acquisition: ismrmrd.Acquisition) -> Iterator[Buffer]:
    """An acquisition for the wire."""
    yield bytes(acquisition.getHead())
    yield from _array_parts(acquisition.traj, _COORDINATES)
    yield from _array_parts(acquisition.data, _SAMPLES)


def _acquisition_header(reader: Reader) -> ismrmrd.AcquisitionHeader:
    head = reader.structure(ismrmrd.AcquisitionHeader)
    if head.flags & _COMPRESSED:
        raise ProtocolError("compressed acquisitions are not supported; switch off compression in the client")
    if head.active_channels > MAX_CHANNELS:
        raise ProtocolError(
            f"an acquisition claims {head.active_channels} channels, at most {MAX_CHANNELS} are possible: "
            "the stream is damaged or out of step"
        )
    return head


def _read_trajectory(reader: Reader, head: ismrmrd.AcquisitionHeader) -> np.ndarray:
    shape = (head.number_of_samples, head.trajectory_dimensions)
    return reader.array(shape, _COORDINATES, "a trajectory")


def _read_samples(reader: Reader, head: ismrmrd.AcquisitionHeader) -> np.ndarray:
    return reader.array((head.active_channels, head.number_of_samples), _SAMPLES, "an acquisition")


def read_waveform(reader: Reader) -> ismrmrd.Waveform:
    """A waveform: header, samples."""
    return _read_waves(reader, reader.structure(WaveformHeader))


def _read_waves(reader: Reader, head: WaveformHeader) -> ismrmrd.Waveform:
    data = reader.array((head.channels, head.number_of_samples), _WAVES, "a waveform")
    return ismrmrd.Waveform(head, data)


def waveform_parts(waveform: ismrmrd.Waveform) -> Iterator[Buffer]:
    """A waveform for the wire."""
    yield bytes(waveform.getHead())
    yield from _array_parts(waveform.data, _WAVES)


def read_image(reader: Reader) -> ismrmrd.Image:
    """An image: header, attributes, pixels."""
    head = reader.structure(ImageHeader)
    meta = _parse_meta(reader.text("Q", "the attributes of an image"))
    if head.data_type not in PIXEL_TYPES:
        raise ProtocolError(f"an image has pixel type {head.data_type}; known are {sorted(PIXEL_TYPES)}")
    shape = (head.channels, *reversed(head.matrix_size))
    data = reader.array(shape, PIXEL_TYPES[head.data_type], "an image")
    if data.dtype == np.int32:
        data = data.astype(int)  # ismrmrd has no int32: its stand-in is the platform's integer
    return ismrmrd.Image(head, meta=meta, data=data)


def image_parts(image: ismrmrd.Image) -> Iterator[Buffer]:
    """An image for the wire."""
    attributes = image.attribute_string.encode()
    head = image.getHead()
    head.attribute_string_len = len(attributes)
    yield bytes(head)
    yield struct.pack("<Q", len(attributes))
    yield attributes
    yield from _array_parts(image.data, PIXEL_TYPES[head.data_type])


def _parse_meta(text: bytes) -> ismrmrd.Meta:
    from defusedxml import DefusedXmlException, ElementTree

    if not text:
        return ismrmrd.Meta()
    try:
        ElementTree.fromstring(text)
        return ismrmrd.Meta.deserialize(text.decode())
    except (
        ParseError,
        DefusedXmlException,
        AssertionError,
        AttributeError,
        ValueError,
        LookupError,
    ) as error:
        raise ProtocolError(f"the attributes of an image are not ISMRMRD meta XML: {error!r}") from error


# Recon data


def read_recon_data(reader: Reader) -> ReconData:
    """Recon data: a buffer, and perhaps a calibration buffer, for each encoding space."""
    n_bits = reader.number("Q")
    if n_bits > MAX_BITS:
        raise ProtocolError(f"recon data claim {n_bits} encoding spaces, at most {MAX_BITS} are accepted")
    return ReconData(tuple(_read_bit(reader) for _ in range(n_bits)))


def _read_bit(reader: Reader) -> ReconBit:
    return ReconBit(_read_buffer(reader), _read_optional(reader, _read_buffer))


def _read_buffer(reader: Reader) -> ReconBuffer:
    data = _read_fortran(reader, _SAMPLES)
    trajectory = _read_optional(reader, lambda reader: _read_fortran(reader, _COORDINATES))
    density = _read_optional(reader, lambda reader: _read_fortran(reader, _COORDINATES))
    headers = _read_fortran(reader, np.dtype((np.void, ctypes.sizeof(ismrmrd.AcquisitionHeader))))
    sampling = reader.structure(SamplingDescription)
    return ReconBuffer(data, _as_headers(reader, headers), trajectory, density, sampling)


def _read_optional(reader: Reader, read: Callable[[Reader], Any]) -> Any:
    return read(reader) if reader.number("B") else None


def _read_fortran(reader: Reader, dtype: np.dtype) -> np.ndarray:
    n_axes = reader.number("Q")
    if n_axes > MAX_AXES:
        raise ProtocolError(f"an array claims {n_axes} axes, at most {MAX_AXES} are accepted")
    shape = struct.unpack(f"<{n_axes}Q", reader.take(8 * n_axes))
    bounded(math.prod(length for length in shape if length), MAX_ARRAY_BYTES, "an array")
    return reader.array(shape[::-1], dtype, "an array").T if n_axes else np.empty(0, dtype)


def _as_headers(reader: Reader, raw: np.ndarray) -> np.ndarray:
    headers = np.empty(raw.shape, object)
    headers.fill(EMPTY_HEAD)
    is_filled = np.frombuffer(raw.tobytes(), np.uint8).reshape(*raw.shape, raw.dtype.itemsize).any(-1)
    reader.count(OBJECT_BYTES * int(is_filled.sum()))
    for index in map(tuple, np.argwhere(is_filled)):
        headers[index] = ismrmrd.AcquisitionHeader.from_buffer_copy(raw[index].tobytes())
    return headers


def recon_data_parts(recon_data: ReconData) -> Iterator[Buffer]:
    """Recon data for the wire."""
    yield struct.pack("<Q", len(recon_data.bits))
    for bit in recon_data.bits:
        yield from _buffer_parts(bit.data)
        yield struct.pack("<?", bit.reference is not None)
        if bit.reference is not None:
            yield from _buffer_parts(bit.reference)


def _buffer_parts(buffer: ReconBuffer) -> Iterator[Buffer]:
    yield from _fortran_parts(buffer.data, _SAMPLES)
    for optional in (buffer.trajectory, buffer.density):
        yield struct.pack("<?", optional is not None)
        if optional is not None:
            yield from _fortran_parts(optional, _COORDINATES)
    yield _shape_part(buffer.headers)
    yield b"".join(bytes(head) for head in buffer.headers.ravel(order="F"))
    yield bytes(buffer.sampling)


def _fortran_parts(array: np.ndarray, dtype: np.dtype) -> Iterator[Buffer]:
    yield _shape_part(array)
    yield from _array_parts(array.T, dtype)


def _shape_part(array: np.ndarray) -> bytes:
    return struct.pack(f"<Q{array.ndim}Q", array.ndim, *array.shape)


def _array_parts(array: np.ndarray, dtype: np.dtype) -> Iterator[Buffer]:
    if array.size:
        yield memory_of(np.ascontiguousarray(array, dtype))


# Acquisition buckets


def read_bucket(reader: Reader) -> AcquisitionBucket:
    """A bucket: readouts, calibration readouts and waveforms, each kind of content in one block."""
    sizes = _BUCKET_SIZES.unpack(reader.take(_BUCKET_SIZES.size))
    acquisitions = _read_bundle(reader, count=sizes[0], stats_bytes=sizes[8])
    references = _read_bundle(reader, count=sizes[4], stats_bytes=sizes[9])
    heads = _read_heads(sizes[10], lambda: reader.structure(WaveformHeader))
    waveforms = tuple(_read_waves(reader, head) for head in heads)
    return AcquisitionBucket(acquisitions, references, waveforms)


def _read_bundle(reader: Reader, count: int, stats_bytes: int) -> tuple[ismrmrd.Acquisition, ...]:
    heads = _read_heads(count, lambda: _acquisition_header(reader))
    trajectories = [_read_trajectory(reader, head) for head in heads]
    bundle = tuple(
        ismrmrd.Acquisition(head, _read_samples(reader, head), trajectory)
        for head, trajectory in zip(heads, trajectories, strict=True)
    )
    reader.take(bounded(stats_bytes, MAX_TEXT_BYTES, "the statistics of a bucket"))
    return bundle


def _read_heads(count: int, read: Callable[[], Head]) -> list[Head]:
    bounded(OBJECT_BYTES * count, MAX_ARRAY_BYTES, "a bucket")
    return [read() for _ in range(count)]


def bucket_parts(bucket: AcquisitionBucket) -> Iterator[Buffer]:
    """A bucket for the wire, its statistics left empty: they only repeat the headers."""
    bundles = [_bundle_parts(bundle) for bundle in (bucket.acquisitions, bucket.references)]
    counts = [len(bucket.acquisitions), len(bucket.references)]
    no_stats = struct.pack("<Q", 0)
    heads = b"".join(bytes(wave.getHead()) for wave in bucket.waveforms)
    waves = b"".join(part for wave in bucket.waveforms for part in _array_parts(wave.data, _WAVES))
    for count, (headers, trajectories, samples) in zip(counts, bundles, strict=True):
        yield struct.pack("<4Q", count, len(headers), len(samples), len(trajectories))
    yield struct.pack("<5Q", len(no_stats), len(no_stats), len(bucket.waveforms), len(heads), len(waves))
    for bundle in bundles:
        yield from (*bundle, no_stats)
    yield from (heads, waves)


def _bundle_parts(bundle: Iterable[ismrmrd.Acquisition]) -> tuple[bytes, bytes, bytes]:
    headers = [bytes(acquisition.getHead()) for acquisition in bundle]
    trajectories = [part for acquisition in bundle for part in _array_parts(acquisition.traj, _COORDINATES)]
    samples = [part for acquisition in bundle for part in _array_parts(acquisition.data, _SAMPLES)]
    return b"".join(headers), b"".join(trajectories), b"".join(samples)
