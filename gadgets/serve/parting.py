"""How the daemon parts from a client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from gadgets.wire.wire import DRAIN_SECONDS

_QUIET_S = 5.0
"""A peer that was told the end, and neither sends nor closes for so long, has nothing under way."""


def linger(connection: socket.socket, is_abandoned: threading.Event, seconds: float = DRAIN_SECONDS) -> None:
    """Say no more and hear the peer out: closed with unread data, a connection loses what was sent last."""
    deadline = time.monotonic() + seconds
    connection.settimeout(_QUIET_S)
    with contextlib.suppress(OSError):  # silence, or the peer has gone
        connection.shutdown(socket.SHUT_WR)
        while time.monotonic() < deadline and not is_abandoned.is_set() and connection.recv(1 << 16):
            pass
