"""Workers: one that is warm and waits, and those that have a scan."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

from gadgets.serve.attendant import Attendant, Shared
from gadgets.serve.process import CONTEXT
from gadgets.serve.worker import WorkerSettings, work
from python_recon.methods.registry import built_in_modules

PRELOADED = (
    "gadgets.cli",
    "gadgets.serve.worker",
    "gadgets.translate.images",
    "python_recon.stream.chain",
    "python_recon.stream.ladder",
    "python_recon.coil_maps.low_resolution",
    "python_recon.coil_maps.nlinv",
    *built_in_modules(),
)
"""What is loaded once, before workers are forked."""

_log = logging.getLogger(__name__)
_ABANDON_S = 3.0
_POLL_S = 0.2


@contextmanager
def _ignoring_hangups() -> Iterator[None]:
    """What is started within the block ignores SIGHUP, for good: a terminal that closes signals all."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


class Pool:
    """Keeps a warm worker ready and gives every connection one of its own.

    A worker serves one scan and ends: what a scan leaves behind (fragmented memory, allocator caches, changed
    thread counts, a thread that hangs) ends with it, and the next worker, forked from a process that has
    loaded the libraries, warms up while nobody waits for it.
    """

    def __init__(self, shared: Shared, settings: WorkerSettings) -> None:
        self._shared = shared
        self._settings = settings
        self._attendants: set[Attendant] = set()
        self._spare: Attendant | None = None
        self._changed = threading.Condition()
        self._is_draining = False
        self._is_warm = False
        CONTEXT.set_forkserver_preload(list(PRELOADED))
        with _ignoring_hangups():
            forkserver.ensure_running()

    @property
    def n_scans(self) -> int:
        """Scans in progress."""
        with self._changed:
            return sum(each.has_scan for each in self._attendants)

    @property
    def is_warm(self) -> bool:
        """Whether the last worker that was started got warm; the next one will, too."""
        spare = self._spare
        if spare is not None and spare.is_ready:
            self._is_warm = True
        return self._is_warm

    def start(self) -> None:
        """Have a worker ready, unless there is one or the pool is being drained."""
        with self._changed:
            if self._spare is None and not self._is_draining:
                self._spare = Attendant(self._shared, work, self._settings, self._forget)
                self._attendants.add(self._spare)

    def serve(self, connection: socket.socket, peer: str) -> None:
        """Give a connection its worker; it belongs to the pool from now on."""
        is_assigned = False
        while not is_assigned:
            self.start()
            with self._changed:
                worker, self._spare = self._spare, None
            is_assigned = worker is not None and worker.assign(connection, peer)
        try:
            self.start()
        except (OSError, RuntimeError) as error:  # descriptors or threads: this scan has its worker
            _log.error("no worker can be kept ready: %s", error)

    def drain(self) -> None:
        """Let every scan end, or end it where it is abandoned; afterwards no worker is left."""
        with self._changed:
            self._is_draining = True
            spare, self._spare = self._spare, None
            if spare is not None:
                spare.dismiss()
            while self._attendants and not self._shared.is_abandoned.is_set():
                self._changed.wait(_POLL_S)
            remaining = list(self._attendants)
        for each in remaining:
            each.kill()
        deadline = time.monotonic() + _ABANDON_S
        for each in remaining:
            each.join(max(deadline - time.monotonic(), 0.0))

    def _forget(self, attendant: Attendant) -> None:
        with self._changed:
            self._attendants.discard(attendant)
            if attendant.is_ready is not None:
                self._is_warm = attendant.is_ready
            if self._spare is attendant:
                self._spare = None
                if self._is_warm:  # where one did not get warm, none is tried before the next scan
                    self.start()
            self._changed.notify_all()
