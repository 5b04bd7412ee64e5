"""Sessions, errors and deadlines over real sockets and pipes."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from contextlib import ExitStack, contextmanager

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgets.wire.messages import ErrorText, Text
from gadgets.wire.prefetch import Prefetch
from gadgets.wire.wire import Wire
from python_recon.errors import ProtocolError, StreamError
from tests.wires import (
    HEADER,
    IDLE,
    assert_same_acquisition,
    make_acquisition,
    raw_peer,
    round_trip,
    sending,
    socket_wires,
)


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


def test_readouts_that_were_cropped_without_their_trajectory_are_told():
    """As Gadgetron's RemoveROOversampling does it; the reader then takes coordinates for samples."""
    whole = make_acquisition(np.random.default_rng(4), coils=2, samples=64)
    head = whole.getHead()
    head.number_of_samples = 32
    body = bytes(head) + whole.traj.tobytes() + whole.data[:, 16:48].tobytes()
    with raw_peer() as (wire, peer):
        peer.sendall(2 * (struct.pack("<H", 1008) + body) + struct.pack("<H", 4))
        with pytest.raises(
            ProtocolError, match=r"message id \d+ is not expected.*RemoveROOversampling crops"
        ):
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


def test_a_peer_that_has_only_ended_its_own_side_is_there():
    with raw_peer() as (wire, peer):
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(StreamError, match="without closing"):
            list(wire)
        wire.check_peer()
        peer.close()
        with pytest.raises(StreamError, match="went away and takes no images"):
            wire.check_peer()


def test_a_pipe_without_a_reader_has_no_peer():
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as sink, os.fdopen(read_end, "rb") as source:
        wire = Wire.from_files(source, sink)
        wire.check_peer()
        source.close()
        with pytest.raises(StreamError, match="went away and takes no images"):
            wire.check_peer()
