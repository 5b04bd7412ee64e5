"""The health pages answer, whatever some of those who ask do."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from gadgets.serve.health import Health
from tests.serving import free_ports


@pytest.fixture
def dripping():
    """An HTTP client that is never done asking."""
    port, is_over = free_ports(1)[0], threading.Event()
    health = Health("127.0.0.1", port, lambda: "", lambda: "")
    with socket.create_connection(("127.0.0.1", port), 20) as peer:

        def drip():
            with suppress(OSError):
                while not is_over.wait(0.05):
                    peer.sendall(b"G")

        thread = threading.Thread(target=drip)
        thread.start()
        yield health, peer
        is_over.set()
        thread.join()


def test_who_takes_too_long_is_sent_away(dripping, monkeypatch):
    health, peer = dripping
    monkeypatch.setattr("gadgets.serve.health._REQUEST_S", 0.3)
    with suppress(ConnectionError):
        assert peer.recv(1) == b""
    health.stop()


def test_its_end_waits_for_nobody(dripping):
    health, _ = dripping
    started = time.monotonic()
    health.stop()
    assert time.monotonic() - started < 4


def test_of_too_many_some_are_not_answered(monkeypatch):
    monkeypatch.setattr("gadgets.serve.health._MOST_REQUESTS", 2)
    port = free_ports(1)[0]
    health = Health("127.0.0.1", port, lambda: "", lambda: "")
    with ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(3)]
        assert peers[2].recv(1) == b""
        peers[0].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b"200 OK" in peers[0].recv(100)
        health.stop()
