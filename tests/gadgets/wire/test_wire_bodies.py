"""Every kind of message survives the wire, in the layout of ISMRMRD and Gadgetron."""

from __future__ import annotations

import ctypes
import socket
import struct

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from ismrmrd.waveform import WaveformHeader

from gadgets.wire.messages import (
    AcquisitionBucket,
    ReconBit,
    ReconBuffer,
    ReconData,
    SamplingDescription,
)
from gadgets.wire.wire import Wire
from tests.wires import (
    assert_same_acquisition,
    make_acquisition,
    random_complex,
    raw_peer,
    round_trip,
    sending,
)


def header_from(kind, draw_bytes, **fixed):
    head = kind.from_buffer_copy(draw_bytes)
    for name, value in fixed.items():
        setattr(head, name, value)
    return head


@st.composite
def acquisitions(draw):
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 7)))
    dimensions = draw(st.integers(0, 3))
    size = ctypes.sizeof(ismrmrd.AcquisitionHeader)
    head = header_from(
        ismrmrd.AcquisitionHeader,
        draw(st.binary(min_size=size, max_size=size)),
        number_of_samples=shape[1],
        active_channels=shape[0],
        trajectory_dimensions=dimensions,
    )
    head.flags &= (1 << 52) - 1
    samples = draw(npst.arrays(np.complex64, shape, elements=st.complex_numbers(width=64, allow_nan=False)))
    trajectory = draw(
        npst.arrays(np.float32, (shape[1], dimensions), elements=st.floats(width=32, allow_nan=False))
    )
    return ismrmrd.Acquisition(head, samples, trajectory)


@st.composite
def waveforms(draw):
    samples = draw(npst.arrays(np.uint32, npst.array_shapes(min_dims=2, max_dims=2, max_side=9)))
    size = ctypes.sizeof(WaveformHeader)
    head = header_from(
        WaveformHeader,
        draw(st.binary(min_size=size, max_size=size)),
        channels=samples.shape[0],
        number_of_samples=samples.shape[1],
    )
    return ismrmrd.Waveform(head, samples)


@st.composite
def images(draw):
    dtype = draw(
        st.sampled_from([np.uint16, np.int16, np.uint32, np.int64, np.float32, np.float64, np.complex64])
    )
    shape = draw(npst.array_shapes(min_dims=4, max_dims=4, max_side=5))
    bounds = {"min_value": -(2**31), "max_value": 2**31 - 1} if dtype is np.int64 else None
    elements = st.integers(**bounds) if bounds else npst.from_dtype(np.dtype(dtype), allow_nan=False)
    image = ismrmrd.Image(data=draw(npst.arrays(dtype, shape, elements=elements)))
    image.image_index = draw(st.integers(0, 65535))
    words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
    image.meta = ismrmrd.Meta(draw(st.dictionaries(words, words, max_size=3)))
    return image


@settings(max_examples=40, deadline=None)
@given(st.lists(acquisitions(), max_size=3))
def test_any_acquisition_survives(sent):
    for one, other in zip(round_trip(*sent), sent, strict=True):
        assert_same_acquisition(one, other)


@settings(max_examples=25, deadline=None)
@given(waveforms())
def test_any_waveform_survives(sent):
    (got,) = round_trip(sent)
    assert got.getHead() == sent.getHead()
    np.testing.assert_array_equal(got.data, sent.data)


@settings(max_examples=40, deadline=None)
@given(images())
def test_any_image_survives(sent):
    (got,) = round_trip(sent)
    assert got.data.dtype == sent.data.dtype
    np.testing.assert_array_equal(got.data, sent.data)
    assert tuple(got.getHead().matrix_size) == tuple(sent.getHead().matrix_size)
    assert got.image_index == sent.image_index
    assert dict(got.meta) == dict(sent.meta)


def recon_buffer(rng, lines=3, with_optional=True):
    headers = np.empty((lines, 1, 2, 1, 1), object)
    for number, index in enumerate(np.ndindex(headers.shape)):
        headers[index] = ismrmrd.AcquisitionHeader(scan_counter=number, number_of_samples=5)
    return ReconBuffer(
        data=random_complex(rng, (5, lines, 1, 4, 2, 1, 1)),
        headers=headers,
        trajectory=rng.standard_normal((2, 5, lines, 1, 2, 1, 1)).astype(np.float32)
        if with_optional
        else None,
        density=rng.random((5, lines, 1, 2, 1, 1)).astype(np.float32) if with_optional else None,
        sampling=SamplingDescription(recon_matrix=(7, 5, 1), recon_fov=(300.0, 200.0, 8.0)),
    )


def assert_same_buffer(got, sent):
    np.testing.assert_array_equal(got.data, sent.data)
    for name in ("trajectory", "density"):
        if getattr(sent, name) is None:
            assert getattr(got, name) is None
        else:
            np.testing.assert_array_equal(getattr(got, name), getattr(sent, name))
    assert got.headers.shape == sent.headers.shape
    assert [bytes(head) for head in got.headers.ravel()] == [bytes(head) for head in sent.headers.ravel()]
    assert bytes(got.sampling) == bytes(sent.sampling)


def test_recon_data_survive():
    rng = np.random.default_rng(3)
    sent = ReconData(
        (
            ReconBit(recon_buffer(rng), recon_buffer(rng, 2, with_optional=False)),
            ReconBit(recon_buffer(rng, 4, with_optional=False)),
        )
    )
    (got,) = round_trip(sent)
    assert len(got.bits) == 2
    assert_same_buffer(got.bits[0].data, sent.bits[0].data)
    assert_same_buffer(got.bits[0].reference, sent.bits[0].reference)
    assert_same_buffer(got.bits[1].data, sent.bits[1].data)
    assert got.bits[1].reference is None


@pytest.mark.filterwarnings("ignore:A builtin ctypes object:RuntimeWarning")
def test_recon_data_are_laid_out_as_gadgetron_python_reads_them():
    """The package's reader is an independent oracle of the layout."""
    from gadgetron.external import constants, readers
    from gadgetron.types.recon_data import read_recon_data

    sent = ReconData((ReconBit(recon_buffer(np.random.default_rng(4))),))
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as stream, sending(lambda: Wire.from_socket(ours).send(sent)):
        assert readers.read(stream, constants.GadgetMessageIdentifier) == 1023
        got = read_recon_data(stream).bits[0].data
    np.testing.assert_array_equal(got.data, sent.bits[0].data.data)
    np.testing.assert_array_equal(got.trajectory, sent.bits[0].data.trajectory)
    assert got.headers[1, 0, 1, 0, 0].scan_counter == 3
    assert tuple(got.sampling.recon_matrix) == (7, 5, 1)


def test_buckets_survive_with_their_waveforms():
    rng = np.random.default_rng(5)
    sent = AcquisitionBucket(
        acquisitions=tuple(make_acquisition(rng, scan_counter=n, samples=6 + n) for n in range(3)),
        references=(make_acquisition(rng, scan_counter=9),),
        waveforms=tuple(
            ismrmrd.Waveform.from_array(rng.integers(0, 99, (c, 4)).astype(np.uint32)) for c in (2, 1)
        ),
    )
    (got,) = round_trip(sent)
    for one, other in zip(
        got.acquisitions + got.references, sent.acquisitions + sent.references, strict=True
    ):
        assert_same_acquisition(one, other)
    for one, other in zip(got.waveforms, sent.waveforms, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def test_the_statistics_of_a_bucket_are_passed_over():
    """Gadgetron sends them filled, in one of two layouts; their size is all that counts."""
    rng = np.random.default_rng(6)
    acquisition = make_acquisition(rng)
    parts = [bytes(acquisition.getHead()), acquisition.traj.tobytes(), acquisition.data.tobytes()]
    sizes = struct.pack("<13Q", 1, 340, len(parts[2]), len(parts[1]), 0, 0, 0, 0, 90, 0, 0, 0, 0)
    with raw_peer() as (wire, peer):
        peer.sendall(struct.pack("<H", 1050) + sizes + b"".join(parts) + bytes(90) + struct.pack("<H", 4))
        (got,) = wire
    assert_same_acquisition(got.acquisitions[0], acquisition)
