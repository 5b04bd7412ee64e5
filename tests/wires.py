"""Wires over real sockets, and readouts for them."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager

import ismrmrd
import numpy as np

from gadgets.wire.wire import Wire

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


def make_acquisition(rng, coils=3, samples=8, **fields):
    trajectory = rng.standard_normal((samples, 2)).astype(np.float32)
    return ismrmrd.Acquisition.from_array(random_complex(rng, (coils, samples)), trajectory, **fields)


def assert_same_acquisition(got, sent):
    assert bytes(got.getHead()) == bytes(sent.getHead())
    np.testing.assert_array_equal(got.data, sent.data)
    np.testing.assert_array_equal(got.traj, sent.traj)
