"""The client against servers that speak the protocol of Gadgetron and of MRD servers over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

import ismrmrd
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.replay.client import Server, connect, open_server
from gadgets.replay.replay import replay
from gadgets.replay.route import promised_series
from gadgets.wire.messages import ErrorText, Text
from gadgets.wire.pump import Timeouts
from gadgets.wire.wire import Session, Wire
from python_recon.errors import DeadlineError, StreamError


@dataclass
class Seen:
    """What a server got."""

    session: Session | None = None
    items: list = field(default_factory=list)


def _image(index: int) -> ismrmrd.Image:
    return ismrmrd.Image.from_array(np.full((4, 3), index, np.float32), transpose=False, image_index=index)


@contextmanager
def serving(answer: Callable[[Wire, Seen], None]) -> Iterator[tuple[int, Seen]]:
    """A server for one scan on a port of its own."""
    seen = Seen()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                wire = Wire.from_socket(connection, 20.0)
                seen.session = wire.receive_session()
                answer(wire, seen)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], seen
        thread.join(20)
        assert not thread.is_alive()


def _reconstruct(wire: Wire, seen: Seen) -> None:
    for item in wire:
        seen.items.append(item)
        if len(seen.items) % 10 == 0:
            wire.send(_image(len(seen.items) // 10))
    wire.send_close()


def _send(scan_path, port: int, idle_s: float = 20.0, promised=MappingProxyType({}), **config: str):
    images: list = []
    with ScanFile(scan_path) as scan:
        server = Server("127.0.0.1", port, **config)
        with open_server(server, scan.header_xml, Timeouts(5.0, idle_s)) as peers:
            return replay(scan, peers, images.append, idle_s, lambda _stage, _done: None, promised), images


def test_name_of_a_configuration(scan_path):
    with serving(_reconstruct) as (port, seen):
        outcome, images = _send(scan_path, port, config_name="radial_grasp.xml")
    assert outcome.error is None
    assert [image.image_index for image in images] == [1, 2, 3, 4]
    assert seen.session.config_file == "radial_grasp.xml"
    assert seen.session.config_text == b""
    assert seen.session.header.measurementInformation.protocolName == "simulated_radial_heart"


def test_text_of_a_configuration_and_all_items(scan_path):
    with serving(_reconstruct) as (port, seen):
        _send(scan_path, port, config_text="<configuration/>")
    assert seen.session.config_text == b"<configuration/>"
    with ScanFile(scan_path) as scan:
        expected = list(scan.items())
    assert seen.items == expected


def test_an_error_comes_after_the_images_before_it(scan_path):
    def answer(wire: Wire, seen: Seen) -> None:
        wire.send(_image(1))
        wire.send(ErrorText("no calibration data"))
        seen.items = list(wire)
        wire.send_close()

    with serving(answer) as (port, _):
        outcome, images = _send(scan_path, port, config_name="x.xml")
    assert str(outcome.error) == f"the server at 127.0.0.1:{port}: no calibration data"
    assert len(images) == 1


def test_text_is_no_error(scan_path, caplog):
    def answer(wire: Wire, seen: Seen) -> None:
        wire.send(Text("half way"))
        _reconstruct(wire, seen)

    caplog.set_level("INFO")
    with serving(answer) as (port, _):
        outcome, images = _send(scan_path, port, config_name="x.xml")
    assert outcome.error is None
    assert len(images) == 4
    assert "half way" in caplog.text


@pytest.mark.parametrize(
    "text", ["[external] ERROR: there is no setting 'metod'", "ERROR   there is no setting 'metod'"]
)
def test_an_error_that_comes_as_text_is_one(scan_path, text):
    """As Gadgetron, and as MRD servers, tell their clients of errors."""

    def answer(wire: Wire, seen: Seen) -> None:
        seen.items = list(wire)
        wire.send(_image(1))
        wire.send(Text(text))
        wire.send_close()

    with serving(answer) as (port, _):
        outcome, images = _send(scan_path, port, config_name="x.xml")
    assert "there is no setting 'metod'" in str(outcome.error)
    assert len(images) == 1


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Error reading from file/stream", "radial_mine.xml is not in share/gadgetron/config"),
        ("Received illegal message id from external peer: 1", "a gadget has ended without a word"),
    ],
)
def test_what_a_gadgetron_leaves_open_is_explained(scan_path, said, cause):
    """What version 4.7.2 says, and all that it says."""

    def answer(wire: Wire, seen: Seen) -> None:
        wire.send(Text(f"[Connection Main Thread/Connection Input Thread] ERROR: {said}"))
        wire.send_close()
        seen.items = list(wire)

    with serving(answer) as (port, _):
        outcome, _ = _send(scan_path, port, config_name="radial_mine.xml")
    assert cause in str(outcome.error)


def test_a_series_that_does_not_come_is_an_error(scan_path):
    """A gadget that was killed after its previews is not told by every server."""

    def answer(wire: Wire, seen: Seen) -> None:
        seen.items = list(wire)
        image = _image(1)
        image.image_series_index = 1
        wire.send(image)
        wire.send(Text("the gadget has gone"))
        wire.send_close()

    with serving(answer) as (port, _):
        promised = promised_series(Server("127.0.0.1", port, config_name="radial_grasp"))
        outcome, images = _send(scan_path, port, promised=promised, config_name="radial_grasp")
    assert "1 images came back and no error, but none of grasp (series 2)" in str(outcome.error)
    assert "doctor --gadgetron" in str(outcome.error)
    assert "the gadget has gone" in str(outcome.error)
    assert len(images) == 1


@pytest.mark.parametrize(
    ("server", "promised"),
    [
        (Server("", 1, config_name="radial_preview"), {1: "gridding"}),
        (Server("", 1, config_name="radial_cardiac.xml"), {2: "grasp"}),
        (Server("", 1, config_name="radial_grasp_distributed_connect"), {}),
        (Server("", 1, config_name="its_own"), {}),
        (Server("", 1, config_text="<configuration/>"), {}),
    ],
)
def test_what_a_configuration_promises(server, promised):
    assert promised_series(server) == promised


def test_a_server_that_leaves(scan_path):
    def answer(wire: Wire, _seen: Seen) -> None:
        wire.send(_image(1))

    with serving(answer) as (port, _):
        outcome, _ = _send(scan_path, port, config_name="x.xml")
    assert isinstance(outcome.error, StreamError)
    assert "the server at 127.0.0.1" in str(outcome.error)


def test_a_server_that_takes_nothing_and_says_nothing(scan_path):
    waiting = threading.Event()
    with serving(lambda _wire, _seen: waiting.wait(20)) as (port, _):
        outcome, _ = _send(scan_path, port, idle_s=1.0, config_name="x.xml")
        waiting.set()
    assert isinstance(outcome.error, DeadlineError)
    assert f"nothing moved for 1 s, waiting for the server at 127.0.0.1:{port}" in str(outcome.error)


def test_a_server_that_talks_nonsense(scan_path):
    def answer(wire: Wire, seen: Seen) -> None:
        wire._channel.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        seen.items = list(wire)

    with serving(answer) as (port, _):
        outcome, _ = _send(scan_path, port, config_name="x.xml")
    assert "message id" in str(outcome.error)


def test_addresses_that_do_not_exist():
    with pytest.raises(StreamError, match=r"nothing answers at no-such-host\.invalid:9002"):
        connect("no-such-host.invalid", 9002, 5.0)
