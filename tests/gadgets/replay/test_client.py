"""The client against servers that speak the protocol of Gadgetron and of MRD servers over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import ismrmrd
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.replay.client import Server, connect, open_server
from gadgets.replay.replay import replay
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


def _send(scan_path, port: int, idle_s: float = 20.0, **config: str):
    images: list = []
    with ScanFile(scan_path) as scan:
        server = Server("127.0.0.1", port, **config)
        with open_server(server, scan.header_xml, Timeouts(5.0, idle_s)) as peers:
            return replay(scan, peers, images.append, idle_s, lambda _stage, _done: None), images


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
