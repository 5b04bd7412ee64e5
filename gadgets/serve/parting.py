"""How the daemon parts from a client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from gadgets.serve.progress import Phase, Progress
from gadgets.wire.wire import DRAIN_SECONDS, Wire

_REPORT_S = 5.0
_QUIET_S = 5.0
"""A peer that was told the end, and neither sends nor closes for so long, has nothing under way."""


def part(connection: socket.socket, failure: str, scan: Progress) -> None:
    """Say what a worker could not say: the failure, if its client has no outcome yet, and the end.

    Raises
    ------
    StreamError
        If it does not reach the client.
    """
    if scan.is_closed or scan.is_within_message:
        return  # nothing can be said within a message: the broken stream is the error
    wire = Wire.from_socket(connection, _REPORT_S)
    if scan.phase is not Phase.ENDING:
        wire.send_error(failure)
    wire.send_close()


def linger(connection: socket.socket, is_abandoned: threading.Event, seconds: float = DRAIN_SECONDS) -> None:
    """Say no more and hear the peer out: closed with unread data, a connection loses what was sent last."""
    deadline = time.monotonic() + seconds
    connection.settimeout(_QUIET_S)
    with contextlib.suppress(OSError):  # silence, or the peer has gone
        connection.shutdown(socket.SHUT_WR)
        while time.monotonic() < deadline and not is_abandoned.is_set() and connection.recv(1 << 16):
            pass
