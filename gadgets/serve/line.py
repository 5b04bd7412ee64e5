"""The line between the daemon and a worker: JSON objects, one a line, over a pair of sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from multiprocessing.connection import wait
from typing import Any

_CHUNK_BYTES = 1 << 16
_SCAN = b'{"event": "scan"}\n'


class Line:
    """One end of the line. Any thread may send; one may receive."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = b""
        self._lock = threading.Lock()

    def send(self, event: str, **details: Any) -> None:
        """Tell the other side; raises OSError where it is gone."""
        text = json.dumps({"event": event, **details})
        with self._lock:
            self._socket.sendall(text.encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next event, None when the other side is gone; raises TimeoutError when nothing comes."""
        while b"\n" not in self._received:
            if not wait([self._socket], timeout_s):
                raise TimeoutError
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except ConnectionError:
                return None
            if not chunk:
                return None
            self._received += chunk
        message, _, self._received = self._received.partition(b"\n")
        return dict(json.loads(message))

    def send_connection(self, connection: socket.socket) -> None:
        """Hand a duplicate of a connection over; raises OSError where the other side is gone."""
        with self._lock:
            socket.send_fds(self._socket, [_SCAN], [connection.fileno()])

    def receive_connection(self) -> socket.socket | None:
        """Wait for a connection; None when the other side is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, len(_SCAN), 1)
        return socket.socket(fileno=descriptors[0]) if data and descriptors else None

    def hang_up(self) -> None:
        """End the line for both sides."""
        with contextlib.suppress(OSError):  # the other side may have ended it
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()
