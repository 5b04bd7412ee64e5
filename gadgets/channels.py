"""Bytes in and out of a socket or a pair of pipes, every wait bounded."""

from __future__ import annotations

import io
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

from python_recon.errors import ProtocolError, StreamError

READ_BUFFER_BYTES = 1 << 18
PIPE_CHUNK_BYTES = select.PIPE_BUF  # what a writable pipe takes without blocking
POLL_SECONDS = 0.25  # how soon a pipe notices that it was aborted

Buffer: TypeAlias = bytes | bytearray | memoryview


class Channel:
    """A byte stream in both directions.

    Reads are buffered: short ones are served from memory, long ones go straight into the caller's array.
    One thread may read while another writes.
    """

    def __init__(
        self, source: io.RawIOBase, write: Callable[[Buffer], None], abort: Callable[[], None]
    ) -> None:
        self._source = io.BufferedReader(source, READ_BUFFER_BYTES)
        self.write = write
        self.abort = abort
        """Ends every read under way, and all later ones, as if the peer had closed."""

    def read_into(self, view: memoryview) -> int:
        """Fill ``view``; fewer bytes come back only where the stream ends.

        Raises
        ------
        StreamError
            When the peer stays silent for longer than the deadline, or the connection breaks.
        """
        return self._source.readinto(view)


def socket_channel(sock: socket.socket, max_idle_seconds: float) -> Channel:
    """A channel over a connected socket, which stays the caller's to close."""
    sock.settimeout(max_idle_seconds)

    def write(data: Buffer) -> None:
        view = memoryview(data).cast("B")
        try:
            while view.nbytes:
                view = view[sock.send(view) :]
        except TimeoutError as error:
            raise StreamError(_stuck(max_idle_seconds)) from error
        except OSError as error:
            raise StreamError(f"the connection broke while sending: {error}") from error

    def abort() -> None:
        try:
            sock.shutdown(socket.SHUT_RD)
        except OSError:
            return  # it is closed already

    return Channel(_SocketSource(sock, max_idle_seconds), write, abort)


def pipe_channel(source: BinaryIO, sink: BinaryIO, max_idle_seconds: float) -> Channel:
    """A channel over two files with descriptors, such as the standard streams."""
    descriptor, aborted = sink.fileno(), threading.Event()

    def write(data: Buffer) -> None:
        view = memoryview(data).cast("B")
        try:
            while view.nbytes:
                if not select.select([], [descriptor], [], max_idle_seconds)[1]:
                    raise StreamError(_stuck(max_idle_seconds))
                view = view[os.write(descriptor, view[:PIPE_CHUNK_BYTES]) :]
        except OSError as error:
            raise StreamError(f"the pipe broke while writing: {error}") from error

    return Channel(_PipeSource(source.fileno(), aborted, max_idle_seconds), write, aborted.set)


class _SocketSource(io.RawIOBase):
    def __init__(self, sock: socket.socket, max_idle_seconds: float) -> None:
        self._socket = sock
        self._max_idle_seconds = max_idle_seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._socket.recv_into(buffer)
        except TimeoutError as error:
            raise StreamError(_silent(self._max_idle_seconds)) from error
        except OSError as error:
            raise StreamError(f"the connection broke while receiving: {error}") from error


class _PipeSource(io.RawIOBase):
    def __init__(self, descriptor: int, aborted: threading.Event, max_idle_seconds: float) -> None:
        self._descriptor = descriptor
        self._aborted = aborted
        self._max_idle_seconds = max_idle_seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        deadline = time.monotonic() + self._max_idle_seconds
        while not self._aborted.is_set():
            if select.select([self._descriptor], [], [], POLL_SECONDS)[0]:
                return os.readv(self._descriptor, [buffer])
            if time.monotonic() > deadline:
                raise StreamError(_silent(self._max_idle_seconds))
        return 0


def _silent(seconds: float) -> str:
    return (
        f"the peer fell silent for {seconds:g} s without closing the stream; max_idle_seconds sets the wait"
    )


def _stuck(seconds: float) -> str:
    return f"the peer took no data for {seconds:g} s; max_idle_seconds sets the wait"


def bounded(n_bytes: int, limit: int, what: str) -> int:
    """``n_bytes``, refused before anything is allocated where it is beyond ``limit``."""
    if n_bytes > limit:
        raise ProtocolError(
            f"{what} claims {n_bytes} bytes, but at most {limit} are accepted: "
            "the stream is damaged or out of step"
        )
    return n_bytes
