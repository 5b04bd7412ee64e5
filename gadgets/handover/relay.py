"""An executed gadget that lets a daemon do the work: what either side says is passed on, message by message.

What the daemon makes is the same images; where it ends in mid-scan, the client hears so.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from xml.etree.ElementTree import Element

from ismrmrd.xsd import ismrmrdHeader

from gadgets.capture.recorder import settings_from_environment
from gadgets.handover.door import call, folder, peer_of, standing
from gadgets.replay.from_data import refuse_files
from gadgets.replay.properties import properties_of
from gadgets.wire.header import header_text
from gadgets.wire.pump import Peer, Timeouts, exchange
from gadgets.wire.wire import DRAIN_SECONDS, Item, Wire
from python_recon.config import Config, load_config
from python_recon.errors import ConfigError, ReconError, StreamError

_MARGIN_S = 30.0
"""The daemon tells a pause of the scan, and a fit without an end: the relay waits longer."""
_LOOK_S = 0.5
_log = logging.getLogger(__name__)


def relay(wire: Wire, header: ismrmrdHeader, configuration: Element | None) -> Callable[[], None] | None:
    """What has a daemon serve the scan, images and error included; None where there is no daemon for it.

    The CLOSE is left to the owner of the wire.
    """
    try:
        config = load_config(properties_of(configuration))
        refuse_files(config.options, {})
    except ConfigError as error:
        _log.info("this scan is not for a daemon: %s", error)
        return None
    connection = call(standing(settings_from_environment()))
    if connection is None:
        _log.info("no daemon of this user, version and settings has room (%s): computing here", folder())
        return None
    process, _ = peer_of(connection)
    _log.info("handed over to the daemon of this machine, process %d", process)
    found = _Relay(wire, connection, f"the daemon of this machine, process {process}", config)
    return partial(found.run, header)


class _Relay:
    def __init__(self, wire: Wire, connection: socket.socket, name: str, config: Config) -> None:
        self._wire, self._connection, self._config = wire, connection, config
        self._idle_s = Timeouts.idle_s + config.max_recon_seconds + config.max_idle_seconds
        self._peer = Peer(name, connection, Wire.from_socket(connection, self._idle_s))
        self._failure: ReconError | None = None
        """Of the scan on its way to us."""
        self._is_read = False
        """Whether nothing more comes from the client."""

    def run(self, header: ismrmrdHeader) -> None:
        """Serve the scan; whatever goes wrong is told to the client."""
        self._wire.set_max_idle(self._config.max_idle_seconds + _MARGIN_S)
        try:
            with self._connection, self._watching():
                self._greet(header)
                for item in exchange([self._peer], self._items(), self._idle_s, self._part):
                    self._wire.send(item)
        except ReconError as error:
            self._tell(self._failure or error)
        except Exception as error:
            _log.exception("unforeseen failure")
            self._tell(StreamError(f"unforeseen failure: {error!r}; the log holds the details"))

    def _greet(self, header: ismrmrdHeader) -> None:
        """Whole settings: without any, the daemon's operator would choose."""
        self._peer.wire.send_config_text(self._config.model_dump_json())
        self._peer.wire.send_header(header_text(header))

    def _items(self) -> Iterator[Item]:
        try:
            yield from self._wire
            self._is_read = True
        except ReconError as error:
            self._failure, self._is_read = error, True
            self._hang_up()  # what came is no scan: it is not for the daemon to make images of it
            raise

    def _tell(self, error: ReconError) -> None:
        """Report the one error, and hear the rest of the scan out."""
        _log.error("%s", error)
        deadline = time.monotonic() + DRAIN_SECONDS
        with contextlib.suppress(ReconError):  # the client has gone, or is not understood any more
            self._wire.send_error(str(error))
            for _ in () if self._is_read else self._wire:
                if time.monotonic() > deadline:
                    break

    def _part(self) -> None:
        """Called when the exchange ends: nothing more is read for a client that has gone."""
        if self._is_lost():
            self._wire.abort()

    def _is_lost(self) -> bool:
        try:
            self._wire.check_peer()
        except StreamError:
            return True
        return False

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the daemon has done it
            self._connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Within the block the daemon is let go as soon as the client has gone."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK_S):
                if self._is_lost():
                    self._hang_up()
                    return

        watcher = threading.Thread(target=watch, name="watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
