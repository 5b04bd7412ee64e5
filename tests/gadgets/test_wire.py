"""Messages over real sockets and pipes, healthy and not."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import threading
import time
from contextlib import ExitStack, contextmanager

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from ismrmrd.waveform import WaveformHeader

from gadgets.messages import (
    AcquisitionBucket,
    ErrorText,
    ReconBit,
    ReconBuffer,
    ReconData,
    SamplingDescription,
    Text,
)
from gadgets.wire import Prefetch, Wire
from python_recon.errors import ProtocolError, StreamError

HEADER = b"""<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
</ismrmrdHeader>"""
IDLE = 5.0


@contextmanager
def socket_wires(max_idle_seconds=IDLE):
    with ExitStack() as stack:
        sockets = [stack.enter_context(end) for end in socket.socketpair()]
        yield tuple(Wire.from_socket(end, max_idle_seconds) for end in sockets)


@contextmanager
def raw_peer(max_idle_seconds=IDLE):
    """A wire and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire.from_socket(ours, max_idle_seconds), theirs


@contextmanager
def sending(send):
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def round_trip(*items):
    with socket_wires() as (host, gadget):

        def send():
            for item in items:
                host.send(item)
            host.send_close()

        with sending(send):
            return list(gadget)


def random_complex(rng, shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


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


def assert_same_acquisition(got, sent):
    assert bytes(got.getHead()) == bytes(sent.getHead())
    np.testing.assert_array_equal(got.data, sent.data)
    np.testing.assert_array_equal(got.traj, sent.traj)


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


def make_acquisition(rng, coils=3, samples=8, **fields):
    trajectory = rng.standard_normal((samples, 2)).astype(np.float32)
    return ismrmrd.Acquisition.from_array(random_complex(rng, (coils, samples)), trajectory, **fields)


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


def test_texts_and_errors_reach_the_host():
    got = round_trip(Text("größer"), ErrorText("no trajectory"))
    assert got == ["größer", "no trajectory"]
    assert [type(item) for item in got] == [Text, ErrorText]


def test_an_error_is_laid_out_as_gadgetron_expects():
    with raw_peer() as (wire, peer):
        wire.send_error("äh")
        wire.send_close()
        wire.send_close()
        peer.settimeout(1)
        assert peer.recv(100) == struct.pack("<HQ", 8, 3) + "äh".encode() + struct.pack("<H", 4)
        with pytest.raises(TimeoutError):
            peer.recv(1)


def test_a_session_with_a_configuration_text():
    with socket_wires() as (host, gadget):
        host.send_config_text("<configuration/>")
        host.send_header(HEADER)
        host.send_close()
        session = gadget.receive_session()
        assert session.config_text == b"<configuration/>"
        assert session.header.experimentalConditions.H1resonanceFrequency_Hz == 63500000
        assert session.parameters == {}
        assert list(gadget) == []


def test_a_session_of_a_direct_client():
    """A file name, a NUL-terminated header, JSON parameters, then items."""
    with socket_wires() as (host, gadget):
        host.send_config_file("radial_preview.xml")
        host.send_header(HEADER + b"\0")
        host.send(Text(json.dumps({"parameters": {"method": "grasp"}}) + "\0"))
        host.send(Text("hello"))
        host.send_close()
        session = gadget.receive_session()
        assert session.config_file == "radial_preview.xml"
        assert session.parameters == {"method": "grasp"}
        assert list(gadget) == ["hello"]


def test_a_session_without_a_configuration_keeps_its_first_item():
    acquisition = make_acquisition(np.random.default_rng(1))
    with socket_wires() as (host, gadget):
        host.send_header(HEADER)
        host.send(acquisition)
        host.send_close()
        session = gadget.receive_session()
        assert session.config_text == b""
        (got,) = gadget
        assert_same_acquisition(got, acquisition)


def test_items_before_a_header_are_refused():
    with socket_wires() as (host, gadget):
        host.send(make_acquisition(np.random.default_rng(1)))
        with pytest.raises(ProtocolError, match=r"header.*1008"):
            gadget.receive_session()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([None, 1, 2, 3, 5, 8, 1008, 1022, 1023, 1026, 1050]),
    st.binary(max_size=700),
    st.booleans(),
)
def test_random_bytes_end_in_an_error(message, noise, as_session):
    """Whatever a peer sends before it leaves: no hang, no huge allocation, one of our errors (or CLOSE)."""
    with raw_peer() as (wire, peer):
        peer.sendall((b"" if message is None else struct.pack("<H", message)) + noise)
        peer.close()
        try:
            if as_session:
                wire.receive_session()
            for _ in wire:
                pass
        except StreamError:
            return
        assert struct.pack("<H", 4) in noise


def test_a_peer_that_leaves_without_close():
    with raw_peer() as (wire, peer):
        peer.close()
        with pytest.raises(StreamError, match="without closing"):
            list(wire)


@pytest.mark.parametrize("kept", [1, 2 + 100, 2 + 340 + 10, -3])
def test_a_message_cut_short(kept):
    """Within the id, the header, the trajectory and the samples."""
    acquisition = make_acquisition(np.random.default_rng(2))
    message = struct.pack("<H", 1008) + acquisition.to_bytes()
    with raw_peer() as (wire, peer):
        peer.sendall(message[:kept])
        peer.close()
        with pytest.raises(StreamError, match="within a message"):
            list(wire)


def test_silence_has_a_deadline():
    started = time.monotonic()
    with raw_peer(max_idle_seconds=0.2) as (wire, _), pytest.raises(StreamError, match=r"silent for 0\.2 s"):
        list(wire)
    assert time.monotonic() - started < 5


def test_a_peer_that_takes_nothing_has_a_deadline():
    image = ismrmrd.Image.from_array(np.zeros((1000, 2000), np.float32), transpose=False)
    with raw_peer(max_idle_seconds=0.2) as (wire, _), pytest.raises(StreamError, match="took no data"):
        wire.send(image)


def test_sending_to_a_peer_that_left():
    with raw_peer() as (wire, peer):
        peer.close()
        with pytest.raises(StreamError, match="broke"):
            wire.send(Text("x" * 1000000))


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (struct.pack("<H", 999), "id 999"),
        (struct.pack("<H", 6), "id 6 .*1008"),
        (struct.pack("<HI", 5, 0xFFFFFFFF), "text claims 4294967295 bytes"),
        (struct.pack("<HQ", 8, 1 << 40), "error text claims"),
        (struct.pack("<HQQ", 1023, 1, 17), "17 axes"),
        (struct.pack("<HQQ3Q", 1023, 1, 3, 1 << 20, 1 << 20, 1), "array claims"),
        (
            struct.pack("<H", 1008) + bytes(ismrmrd.AcquisitionHeader(active_channels=1025)),
            "1025 channels",
        ),
        (
            struct.pack("<H", 1008) + bytes(ismrmrd.AcquisitionHeader(flags=1 << 52)),
            "compress",
        ),
    ],
)
def test_what_the_protocol_does_not_allow(message, match):
    with raw_peer() as (wire, peer):
        peer.sendall(message)
        with pytest.raises(ProtocolError, match=match):
            list(wire)


def test_entities_in_the_attributes_of_an_image_are_refused():
    meta = b'<!DOCTYPE a [<!ENTITY b "c">]><ismrmrdMeta><meta><name>&b;</name></meta></ismrmrdMeta>'
    image = ismrmrd.Image.from_array(np.zeros((2, 3), np.uint16), transpose=False)
    with raw_peer() as (wire, peer):
        peer.sendall(struct.pack("<H", 1022) + bytes(image.getHead()) + struct.pack("<Q", len(meta)) + meta)
        with pytest.raises(ProtocolError, match="meta XML"):
            list(wire)


def test_foreign_objects_are_not_sent():
    with socket_wires() as (host, _), pytest.raises(TypeError, match="dict"):
        host.send({})


def test_the_prefetch_drains_while_nobody_reads():
    """40 MB fit no socket buffer: the host only gets rid of them if the gadget always receives."""
    rng = np.random.default_rng(7)
    acquisition = make_acquisition(rng, coils=32, samples=384)
    with socket_wires() as (host, gadget), Prefetch(gadget) as items:
        host.send(acquisition)
        arriving = iter(items)
        assert_same_acquisition(next(arriving), acquisition)
        for _ in range(400):
            host.send(acquisition)
        host.send_close()
        assert sum(1 for _ in arriving) == 400


def test_the_prefetch_leaves_no_thread_and_drops_the_rest():
    before = threading.active_count()
    with socket_wires() as (host, gadget):

        def send():
            for _ in range(50):
                host.send(Text("late"))
            host.send_close()

        with Prefetch(gadget) as items:
            host.send(Text("first"))
            assert next(iter(items)) == "first"
            sender = threading.Thread(target=send)
            sender.start()
        sender.join()
        assert threading.active_count() == before


def test_the_prefetch_raises_after_what_came_before():
    with raw_peer() as (wire, peer), Prefetch(wire) as items:
        peer.sendall(struct.pack("<HI", 5, 2) + b"ok")
        peer.close()
        received = []
        with pytest.raises(StreamError, match="without closing"):
            received.extend(items)  # keeps what came
        assert received == ["ok"]


def test_draining_has_an_end():
    """A peer that sends for ever after the end of the scan is left alone."""
    stop = threading.Event()
    with raw_peer() as (wire, peer):

        def chatter():
            while not stop.wait(0.01):
                try:
                    peer.sendall(struct.pack("<HI", 5, 2) + b"hi")
                except OSError:
                    return

        with sending(chatter):
            started = time.monotonic()
            with Prefetch(wire, drain_seconds=0.3):
                pass
            assert 0.2 < time.monotonic() - started < 4
            stop.set()


@contextmanager
def pipe_wires(max_idle_seconds=IDLE):
    """Two wires joined by two pipes, and the sending end of the first."""
    with ExitStack() as stack:
        ends = [stack.enter_context(os.fdopen(fd, mode)) for pair in (os.pipe(), os.pipe())
                for fd, mode in zip(pair, ("rb", "wb"), strict=True)]  # fmt: skip
        yield (
            Wire.from_files(ends[2], ends[1], max_idle_seconds),
            Wire.from_files(ends[0], ends[3], max_idle_seconds),
            ends[1],
        )


def test_pipes_carry_items_longer_than_their_buffer():
    acquisition = make_acquisition(np.random.default_rng(8), coils=32, samples=2000)
    with pipe_wires() as (host, gadget, _):

        def send():
            host.send(acquisition)
            host.send_close()

        with sending(send):
            (got,) = gadget
    assert_same_acquisition(got, acquisition)


def test_pipes_know_silence_and_end():
    with pipe_wires(max_idle_seconds=0.3) as (_, gadget, sender):
        with pytest.raises(StreamError, match="silent"):
            list(gadget)
        sender.close()
        with pytest.raises(StreamError, match="without closing"):
            list(gadget)


def test_an_aborted_pipe_lets_its_reader_go():
    with pipe_wires(max_idle_seconds=30) as (_, gadget, _), Prefetch(gadget, drain_seconds=0.1):
        pass
