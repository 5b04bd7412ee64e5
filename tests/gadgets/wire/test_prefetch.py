"""The thread that always receives."""

from __future__ import annotations

import struct
import threading
import time

import numpy as np
import pytest

from gadgets.wire.messages import Text
from gadgets.wire.prefetch import Prefetch
from python_recon.errors import StreamError
from tests.wires import assert_same_acquisition, make_acquisition, raw_peer, sending, socket_wires


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
