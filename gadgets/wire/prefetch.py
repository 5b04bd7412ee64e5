"""The items of a wire, received ahead of whoever works on them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType

from gadgets.wire.backlog import Backlog
from gadgets.wire.channels import SilenceError
from gadgets.wire.wire import DRAIN_SECONDS, Item, Wire

_log = logging.getLogger(__name__)


class Prefetch:
    """The items of a wire, received by a thread of their own into memory.

    A host must never wait for a method that computes: its own queues would grow. Use as a context; the
    thread starts with the first item that is asked for, or before with :meth:`start`. At the end the rest of
    the stream is received and dropped, and the thread is gone.
    """

    n_received: int = 0
    """Items so far, taken by the consumer or not."""
    pause: SilenceError | None = None
    """What ended the stream where the peer fell silent after its first items; these are worth having."""
    ended_at: float | None = None
    """When the stream ended, well or not, by the monotonic clock; None while more may come."""

    def __init__(self, wire: Wire, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._wire = wire
        self.source: Iterable[Item] = wire  # before the start, what else wants the items can come between
        self._drain_seconds, self.backlog = drain_seconds, Backlog()
        self._arrived: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._receive, name="wire reader", daemon=True)
        self._ended = False
        self._failure: Exception | None = None

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self.start()
            self._drain(time.monotonic() + self._drain_seconds)
        if not self._ended:
            self._wire.abort()
        if self._thread.ident is not None:
            self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        """The items in order; a failure of the stream, but no pause, is raised after what came before."""
        self.start()
        while not self._ended:
            arrived = self._arrived.get()
            self._ended = arrived is None or isinstance(arrived, BaseException)
            if isinstance(arrived, SilenceError) and self.n_received:
                self.pause = arrived
            elif isinstance(arrived, BaseException):
                raise arrived
            elif arrived is not None:
                yield self.backlog.take(arrived)

    def start(self) -> None:
        """Begin to receive, unless that has begun."""
        if self._thread.ident is None:
            self._thread.start()

    def limit(self, n_bytes: float) -> None:
        """Keep no more than so much of the scan, nor take more for one message."""
        self.backlog.limit_bytes = n_bytes
        self._wire.set_limit(n_bytes)

    def give_up(self) -> None:
        """Receive nothing: the stream broke off, or is out of step, before its first item."""
        self._ended = True

    def check(self) -> None:
        """Raise what broke the stream off, if anything did, or that the peer went away after its end.

        This is ahead of the items that came before.
        """
        if self._failure is not None and not isinstance(self._failure, SilenceError):
            raise self._failure
        self._wire.check_peer()

    def _receive(self) -> None:
        try:
            for item in self.backlog.received(self.source):
                self.n_received += 1
                self._arrived.put(item)
        except Exception as error:  # whatever it is, the consumer must hear of it
            self._failure = error
        self.ended_at = time.monotonic()
        self._arrived.put(self._failure)

    def _drain(self, deadline: float) -> None:
        while not self._ended:
            try:
                arrived = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                _log.warning(
                    "the peer still sends %g s after the end; no longer listening", self._drain_seconds
                )
                return
            self._ended = arrived is None or isinstance(arrived, BaseException)
            if isinstance(arrived, BaseException):
                _log.warning("the stream did not end properly: %s", arrived)
