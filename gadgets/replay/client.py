"""A client of a Gadgetron or MRD server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gadgets.wire.pump import Peer, Timeouts
from gadgets.wire.wire import Wire
from python_recon.errors import StreamError

_RETRY_S = 0.2


@dataclass(frozen=True)
class Server:
    """Where a server listens and what it is to run."""

    address: str
    port: int
    config_name: str = ""
    """A configuration of the server's own."""
    config_text: str = ""
    """A configuration that is sent as a whole, where no name is given."""

    @property
    def name(self) -> str:
        return f"the server at {self.address}:{self.port}"


_SERVER_S = 3.0


@contextmanager
def open_server(server: Server, header_xml: str, timeouts: Timeouts) -> Iterator[list[Peer]]:
    """Connect, and send the configuration and the header; raises StreamError where nothing answers.

    A server that is to be there is not waited for as a gadget is that was only just started.
    """
    with connect(server.address, server.port, min(timeouts.connect_s, _SERVER_S)) as connection:
        wire = Wire.from_socket(connection, 2 * timeouts.idle_s)
        if server.config_name:
            wire.send_config_file(server.config_name)
        else:
            wire.send_config_text(server.config_text)
        wire.send_header(header_xml)
        yield [Peer(server.name, connection, wire)]


def connect(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to a process that listens, or will within ``timeout_s``.

    Raises
    ------
    StreamError
        When nothing answers, or there is no such address.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return socket.create_connection((address, port), max(_RETRY_S, deadline - time.monotonic()))
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() > deadline:
                raise StreamError(
                    f"nothing answers at {address}:{port} ({error}); does the server run, is the port right?"
                ) from error
            time.sleep(_RETRY_S)
