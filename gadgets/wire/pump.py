"""Moves a scan through a chain of peers: feeds the first, links the rest, yields what the last sends.

Each connection is read by a thread of its own, so that a full socket buffer on one side never keeps the
other from moving; the buffers are the flow control. One watch over all of them ends the exchange when
nothing has moved for too long.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gadgets.wire.messages import is_error
from gadgets.wire.wire import Item, Wire
from python_recon.errors import DeadlineError, ReconError, StreamError

_log = logging.getLogger(__name__)
_POLL_S = 0.2


@dataclass(frozen=True)
class Timeouts:
    """How long the other side may take."""

    connect_s: float = 30.0
    """From the start of a gadget, or the first try, to its connection."""
    idle_s: float = 900.0
    """Silence on all connections; longer than any method is allowed to compute."""


def _no_failure() -> None:
    return None


@dataclass(frozen=True)
class Peer:
    """A gadget or a server at the other end of a connection."""

    name: str
    socket: socket.socket
    wire: Wire
    failure: Callable[[], str | None] = _no_failure
    """Waits for the end of the peer's process and tells what went wrong with it, if anything."""
    end_fit: Callable[[], None] | None = None
    """Tells it to end its fit with what it has; None: it cannot be told."""


def exchange(
    peers: Sequence[Peer], items: Iterable[Item], idle_s: float, stop_items: Callable[[], None]
) -> Iterator[Item]:
    """Send ``items`` through ``peers`` and yield what comes out of the last one.

    What came before a failure is yielded first, also from the gadgets behind the failed one. At the end
    ``stop_items`` is called, so that items which are still waited for cannot keep the feed.

    Raises
    ------
    ReconError
        What a peer reported, or what went wrong first: a peer that died, fell silent, or could not be fed.
    """
    running = _Exchange(peers, idle_s)
    try:
        running.start(items)
        yield from running.receive(peers[-1])
        running.settle()
    finally:
        stop_items()
        running.abandon()


class _Exchange:
    def __init__(self, peers: Sequence[Peer], idle_s: float) -> None:
        self._peers = peers
        self._idle_s = idle_s
        self._moved = time.monotonic()
        self._error: ReconError | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._unfinished = [peer.name for peer in peers]
        self._threads: list[threading.Thread] = []
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)

    def start(self, items: Iterable[Item]) -> None:
        self._watcher.start()
        self._spawn(self._feed, items)
        for source, sink in zip(self._peers, self._peers[1:], strict=False):
            self._spawn(self._relay, source, sink)

    def receive(self, peer: Peer) -> Iterator[Item]:
        """What the peer sends, up to its end; failures are noted, not raised."""
        try:
            for item in peer.wire:
                self._moved = time.monotonic()
                if is_error(item):
                    self._fail(StreamError(f"{peer.name}: {item}"))
                else:
                    yield item
        except ReconError as error:
            if self._error is None and not self._over.is_set():
                self._fail(StreamError(f"{peer.name}: {peer.failure() or error}"))
        self._unfinished.remove(peer.name)

    def settle(self) -> None:
        """Wait for everything to end and raise the first thing that went wrong."""
        for thread in self._threads:
            thread.join()
        for peer in self._peers:
            if self._error is None and (failure := peer.failure()) is not None:
                self._fail(StreamError(f"{peer.name}: {failure}"))
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Leave no thread behind, whatever happened."""
        self._over.set()
        self._shut_down()
        for thread in [*self._threads, self._watcher]:
            thread.join()

    def _spawn(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, name=function.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _feed(self, items: Iterable[Item]) -> None:
        sink = self._peers[0]
        try:
            for item in items:
                if self._error is not None or self._over.is_set() or not self._try(sink.wire.send, item):
                    break
        except ReconError as error:
            self._fail(error)
        self._try(sink.wire.send_close)

    def _relay(self, source: Peer, sink: Peer) -> None:
        is_open = True
        for item in self.receive(source):  # taken to the end in any case: the source must never block
            is_open = is_open and self._try(sink.wire.send, item)
        self._try(sink.wire.send_close)

    def _try(self, action: Callable[..., None], *arguments: Any) -> bool:
        """False when the peer takes no more; why, its own stream or process will tell."""
        try:
            action(*arguments)
        except StreamError as error:
            _log.debug("not sent: %s", error)
            return False
        self._moved = time.monotonic()
        return True

    def _fail(self, error: ReconError) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
            else:
                _log.warning("after the first error: %s", error)

    def _watch(self) -> None:
        while not self._over.wait(_POLL_S):
            if time.monotonic() - self._moved > self._idle_s:
                waiting = " and ".join(self._unfinished) or "the feed"
                self._fail(DeadlineError(f"nothing moved for {self._idle_s:g} s, waiting for {waiting}"))
                self._shut_down()
                return

    def _shut_down(self) -> None:
        for peer in self._peers:
            with contextlib.suppress(OSError):  # the other side may have closed it
                peer.socket.shutdown(socket.SHUT_RDWR)
