"""Bytes in and out of a socket or a pair of pipes, every wait bounded."""

from __future__ import annotations

import io
import os
import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from typing import Any, BinaryIO, TypeAlias

from python_recon.errors import ProtocolError, StreamError

READ_BUFFER_BYTES = 1 << 18
PIPE_CHUNK_BYTES = select.PIPE_BUF  # what a writable pipe takes without blocking
POLL_SECONDS = 0.25  # how soon a wait notices a signal, and that a pipe was aborted


class SilenceError(StreamError):
    """The peer sends nothing any more, but is there: what it has sent is whole."""


Buffer: TypeAlias = bytes | bytearray | memoryview


class Channel(ABC):
    """A byte stream in both directions.

    Reads are buffered: short ones are served from memory, long ones go straight into the caller's array.
    One thread may read while another writes. Both raise StreamError where the connection breaks, or where
    the peer does nothing for ``max_idle_seconds``.
    """

    max_idle_seconds: float

    def __init__(self) -> None:
        self._source = io.BufferedReader(_Source(self), READ_BUFFER_BYTES)
        self._aborted = threading.Event()

    def read_into(self, view: memoryview) -> int:
        """Fill ``view``; fewer bytes come back only where the stream ends."""
        return self._source.readinto(view)

    def write(self, data: Buffer) -> None:
        """Send all of ``data``."""
        view = memoryview(data).cast("B")
        while view.nbytes:
            view = view[self._send(view) :]

    @abstractmethod
    def receive(self, buffer: Any) -> int:
        """Some bytes into ``buffer``, unbuffered; 0 at the end."""

    @abstractmethod
    def _send(self, view: memoryview) -> int: ...

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether nothing that is sent can reach the peer any more, as far as is known without sending.

        A peer that has ended its own side of the stream is not lost: it may still read. One that has closed
        the connection looks the same, until it answers to data, or to the system's probes, with a reset.
        """

    def abort(self) -> None:
        """End every read under way, and all later ones, as if the peer had closed."""
        self._aborted.set()

    def _await_input(self, descriptor: int) -> None:
        """Until there is something to read, or the stream was aborted.

        In turns: Python acts on a signal that came in the instant before a wait only after that wait.
        """
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + self.max_idle_seconds
        while not self._aborted.is_set():
            left = deadline - time.monotonic()
            if watch.poll(1e3 * max(min(left, POLL_SECONDS), 0.0)):
                return
            if left <= 0:
                raise self._silence()

    def _silence(self) -> SilenceError:
        return SilenceError(
            f"the peer fell silent for {self.max_idle_seconds:g} s without closing the stream; "
            "max_idle_seconds sets the wait"
        )

    def _congestion(self) -> StreamError:
        return StreamError(
            f"the peer took no data for {self.max_idle_seconds:g} s; max_idle_seconds sets the wait"
        )


class SocketChannel(Channel):
    """A connected socket, which stays the caller's to close."""

    def __init__(self, sock: socket.socket, max_idle_seconds: float) -> None:
        super().__init__()
        self._socket = sock
        self.max_idle_seconds = max_idle_seconds

    @property
    def max_idle_seconds(self) -> float:
        return self._socket.gettimeout() or 0.0

    @max_idle_seconds.setter
    def max_idle_seconds(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    @property
    def is_lost(self) -> bool:
        return _is_broken(self._socket.fileno())

    def receive(self, buffer: Any) -> int:
        try:
            self._await_input(self._socket.fileno())
            return 0 if self._aborted.is_set() else self._socket.recv_into(buffer)
        except (OSError, ValueError) as error:  # ValueError: we have closed it ourselves
            raise StreamError(f"the connection broke while receiving: {error}") from error

    def _send(self, view: memoryview) -> int:
        try:
            return self._socket.send(view)
        except TimeoutError as error:
            raise self._congestion() from error
        except OSError as error:
            raise StreamError(f"the connection broke while sending: {error}") from error

    def abort(self) -> None:
        super().abort()
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:
            return  # it is closed already


class PipeChannel(Channel):
    """Two files with descriptors, such as the standard streams, which stay the caller's to close."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, max_idle_seconds: float) -> None:
        super().__init__()
        self._input, self._output = source.fileno(), sink.fileno()
        self.max_idle_seconds = max_idle_seconds

    @property
    def is_lost(self) -> bool:
        return _is_broken(self._output)

    def receive(self, buffer: Any) -> int:
        self._await_input(self._input)
        return 0 if self._aborted.is_set() else os.readv(self._input, [buffer])

    def _send(self, view: memoryview) -> int:
        if not select.select([], [self._output], [], self.max_idle_seconds)[1]:
            raise self._congestion()
        try:
            return os.write(self._output, view[:PIPE_CHUNK_BYTES])
        except OSError as error:
            raise StreamError(f"the pipe broke while writing: {error}") from error


class _Source(io.RawIOBase):
    """What a channel receives, for the standard library's buffered reader."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._channel.receive(buffer)


def _is_broken(descriptor: int) -> bool:
    watch = select.poll()
    watch.register(descriptor, 0)  # a reset, and an end of both sides, are told in any case
    return bool(watch.poll(0))


def bounded(n_bytes: int, limit: int, what: str) -> int:
    """``n_bytes``, refused before anything is allocated where it is beyond ``limit``."""
    if n_bytes > limit:
        raise ProtocolError(
            f"{what} claims {n_bytes} bytes, but at most {limit} are accepted: "
            "the stream is damaged or out of step"
        )
    return n_bytes
