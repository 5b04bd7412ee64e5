"""Waits of a channel: what ends them, and how soon."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from gadgets.wire.channels import Channel, PipeChannel, SocketChannel
from python_recon.errors import StreamError


class _InterruptedError(Exception):
    pass


@pytest.fixture(params=["socket", "pipes"])
def channel(request):
    """A channel whose peer is there and says nothing."""
    if request.param == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield SocketChannel(ours, 20.0)
    else:
        ends = os.pipe()
        with os.fdopen(ends[0], "rb", 0) as source, os.fdopen(ends[1], "wb", 0) as sink:
            yield PipeChannel(source, sink, 20.0)


@pytest.fixture
def unheard_signal():
    """Sends a signal that does not wake the main thread: as one does that comes just before a wait."""

    def interrupt(number, frame):
        raise _InterruptedError

    def send():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=send)
    yield thread.start
    thread.join()
    signal.signal(signal.SIGUSR1, before)


def seconds_of_wait(channel: Channel, error: type[Exception]) -> float:
    start = time.monotonic()
    with pytest.raises(error):
        channel.read_into(memoryview(bytearray(1)))
    return time.monotonic() - start


def test_a_signal_ends_a_wait_that_it_did_not_wake(channel, unheard_signal):
    unheard_signal()
    assert seconds_of_wait(channel, _InterruptedError) < 5


def test_silence_ends_a_wait(channel):
    channel.max_idle_seconds = 0.3
    assert 0.3 <= seconds_of_wait(channel, StreamError) < 5


def test_an_abort_ends_a_wait_as_the_peer_would(channel):
    threading.Timer(0.1, channel.abort).start()
    assert channel.read_into(memoryview(bytearray(1))) == 0


def test_a_socket_that_we_closed_says_so():
    ours, theirs = socket.socketpair()
    channel = SocketChannel(ours, 1.0)
    ours.close()
    with theirs:
        assert seconds_of_wait(channel, StreamError) < 0.5
