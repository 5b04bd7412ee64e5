"""The edge of every gadget: a scan ends in images or in one error that reaches the client.

Gadgetron imports a gadget when its connection is open already, and does not hear of a failure there.
This module and those that hold the gadgets therefore import nothing heavy; what they need is imported
inside the guard.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from gadgets.stage import Stage
    from gadgets.wire.wire import Wire

HANDOVER_VARIABLE = "GADGETRON_PISCO_HANDOVER"
"""Environment: ``no`` keeps scans from the daemon of the machine."""

_CLOSE, _ERROR = 4, 8
_HOST = "gadgetron.__main__"
"""What Gadgetron runs for a scan."""
_DRAIN_SECONDS = 30.0
_log = logging.getLogger(__name__)


def run_gadget(connection: Any, stage: Stage) -> None:
    """Serve one scan over a ``gadgetron.external.Connection``, and close the stream.

    A process that Gadgetron started for the scan ends with it.
    """
    try:
        from gadgets.wire.wire import Wire

        wire = Wire.from_gadgetron(connection)
        serve = _by_a_daemon(wire, connection, stage) or _by_ourselves(wire, connection, stage)
    except Exception as error:
        _log.exception("the gadget could not start")
        _report_bare(
            connection.socket.socket, f"the gadget could not start: {error!r}; is it fully installed?"
        )
        return
    serve()
    if _is_all_there_is():
        _end(connection.socket.socket)


def _by_a_daemon(wire: Wire, connection: Any, stage: Stage) -> Callable[[], None] | None:
    """What serves the scan where a warm daemon takes it; it makes images, and nothing else."""
    from gadgets.stage import images

    if stage is not images or os.environ.get(HANDOVER_VARIABLE, "yes").lower() in ("no", "0", "false", "off"):
        return None
    from gadgets.handover.relay import relay

    return relay(wire, connection.header, connection.config)


def _by_ourselves(wire: Wire, connection: Any, stage: Stage) -> Callable[[], None]:
    from gadgets.scan import serve_scan

    return partial(serve_scan, wire, connection.header, connection.config, stage)


def _is_all_there_is() -> bool:
    """Whether this process was started for the one scan, and nothing is under way in it any more."""
    specification = getattr(sys.modules.get("__main__"), "__spec__", None)
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return getattr(specification, "name", "") == _HOST and all(each.daemon for each in others)


def _end(sock: socket.socket) -> NoReturn:
    """Close the stream and leave at once: to take down what was loaded takes Python up to seconds."""
    with contextlib.suppress(OSError):  # the host has gone
        sock.sendall(struct.pack("<H", _CLOSE))
        sock.shutdown(socket.SHUT_WR)
    logging.shutdown()
    os._exit(0)


def _report_bare(sock: socket.socket, text: str) -> None:
    """Send an error with nothing but the standard library, and let the host finish what it is sending."""
    encoded = text.encode()
    deadline = time.monotonic() + _DRAIN_SECONDS
    try:
        sock.settimeout(_DRAIN_SECONDS)
        sock.sendall(struct.pack("<HQ", _ERROR, len(encoded)) + encoded)
        sock.settimeout(1.0)
        while sock.recv(1 << 16) and time.monotonic() < deadline:
            pass
    except OSError as error:
        _log.info("stopped listening: %s", error)
