"""Gives every connection a worker, and ends in order."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import psutil

from gadgets.capture.recorder import CaptureSettings
from gadgets.handover.door import LocalDoor, standing
from gadgets.serve.attendant import Shared
from gadgets.serve.board import Board
from gadgets.serve.defaults import Defaults
from gadgets.serve.device_queue import DeviceQueue
from gadgets.serve.doors import Doors, Network, peer_name
from gadgets.serve.health import Health
from gadgets.serve.live import Live
from gadgets.serve.logs import LogSettings
from gadgets.serve.metrics import Metrics
from gadgets.serve.parting import linger
from gadgets.serve.pool import Pool
from gadgets.serve.worker import WorkerSettings
from gadgets.version import plugin_version
from gadgets.wire.wire import MAX_IDLE_SECONDS, Wire
from python_recon.errors import ConfigError, StreamError

_TICK_S = 1.0
_REFUSAL_S = 5.0
_MOST_REFUSALS = 16
"""Clients that are told at a time why they are not served; others find the connection closed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What can be chosen of a daemon. Port 0: not at all."""

    hosts: tuple[str, ...] = ("127.0.0.1", "::1")
    gadgetron_port: int = 18000
    mrd_port: int = 9002
    health_host: str = "127.0.0.1"
    health_port: int = 9003
    allowed: tuple[Network, ...] = ()
    """Networks whose peers are served; none: all are."""
    n_jobs: int | None = None
    """Scans whose fits run at a time; None: one on CUDA, else one for two cores."""
    max_scans: int = 32
    """Scans in progress at a time, waiting ones included; more are refused."""
    max_idle_s: float = MAX_IDLE_SECONDS
    """Silence of a client that has not said yet what it wants."""
    fair_share_s: float = 60.0
    """What a fit may take of the device while another scan waits for it."""
    grace_s: float = 30.0
    """Beyond ``max_recon_seconds`` until a worker is ended."""
    most: Mapping[str, float] = field(default_factory=dict)
    """What clients may ask for at most, by the names of settings."""
    log: LogSettings = field(default_factory=LogSettings)
    capture: CaptureSettings | None = None
    """Where scans are kept as they come; None: nowhere."""
    has_live: bool = True
    """Whether there is a live page, at the health port."""
    shows_images: bool = True
    """Whether it shows images of patients."""
    defaults: Defaults = field(default_factory=Defaults)
    """What runs where a client does not say it; ports named there are opened, too."""


class Daemon:
    """Serves Gadgetron's ``<connect>`` and direct MRD clients; either may come to any of its ports."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._metrics = Metrics()
        self._queue = DeviceQueue(options.n_jobs or 1)
        shows_images = options.has_live and options.health_port > 0 and options.shows_images
        board = Board(shows_images=shows_images)
        self._shared = Shared(self._metrics, self._queue, options.grace_s, options.max_idle_s, board)
        scratch = get_temp_dir()
        # Torch makes a folder for compiled code as soon as it is loaded, and leaves it.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(scratch) / "torch"))
        workers = WorkerSettings(
            options.log,
            options.max_idle_s,
            options.n_jobs,
            options.capture,
            options.defaults,
            options.fair_share_s,
            options.most,
            shows_images,
            scratch,
        )
        self._pool = Pool(self._shared, workers)
        self._is_stopping = threading.Event()
        self._free_refusals = threading.Semaphore(_MOST_REFUSALS)
        self._woken, self._waker = socket.socketpair()

    def stop(self) -> None:
        """Accept no more, let scans finish, then end :meth:`run`. May be called by a signal handler."""
        self._is_stopping.set()
        with contextlib.suppress(OSError):  # run has ended
            self._waker.send(b"!")

    def abandon(self) -> None:
        """End at once; clients are told. May be called by a signal handler."""
        self._shared.is_abandoned.set()
        self.stop()

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping.is_set()

    @property
    def is_abandoned(self) -> bool:
        return self._shared.is_abandoned.is_set()

    def run(self) -> None:
        """Serve until :meth:`stop`; afterwards no process, thread or socket is left.

        Raises
        ------
        ConfigError
            When an address or a port cannot be had.
        """
        options = self._options
        _log.info("gadgetron-pisco %s", plugin_version())
        wanted = (options.gadgetron_port, options.mrd_port, *options.defaults.by_port)
        ports = [port for port in dict.fromkeys(wanted) if port]
        with self._woken, self._waker, ExitStack() as stack:
            local = stack.enter_context(self._local_door())
            with Doors(options.hosts, ports, options.allowed, options.max_idle_s, local) as doors:
                if options.health_port:
                    health = Health(
                        options.health_host,
                        options.health_port,
                        self._why_unready,
                        self._metrics_text,
                        Live(self._live_state) if options.has_live else None,
                    )
                    stack.callback(health.stop)
                stack.callback(self._pool.drain)
                self._pool.start()
                self._receive(doors)
            _log.info("no longer accepting; scans in progress: %d", self._pool.n_scans)

    def _local_door(self) -> AbstractContextManager[LocalDoor | None]:
        """For gadgets of this machine; without it they compute themselves."""
        options = self._options
        try:
            return LocalDoor(standing(options.capture, options.most), self._has_room)
        except ConfigError as error:
            _log.warning("%s; gadgets that Gadgetron starts compute themselves", error)
            return nullcontext()

    def _has_room(self) -> bool:
        return not self.is_stopping and self._pool.is_warm and self._pool.n_scans < self._options.max_scans

    def _receive(self, doors: Doors) -> None:
        doors.watch(self._woken)
        while not self.is_stopping:
            for connection in doors.visitors(_TICK_S):
                try:
                    self._admit(connection)
                except Exception as error:  # whatever it is, it is that of one connection
                    _log.exception("a connection could not be served")
                    self._refuse(connection, f"the daemon cannot serve a scan now: {error}")

    def _admit(self, connection: socket.socket) -> None:
        if self._pool.n_scans < self._options.max_scans:
            self._pool.serve(connection, peer_name(connection))
            return
        n_scans = self._options.max_scans
        self._refuse(connection, f"{n_scans} scans are in progress, which is all that is allowed")

    def _refuse(self, connection: socket.socket, reason: str) -> None:
        """Tell a client why it is not served, as far as there is somebody to do it."""
        _log.error("%s is refused: %s", peer_name(connection), reason)
        self._metrics.fail("refused")
        if not self._free_refusals.acquire(blocking=False):
            connection.close()
            return
        thread = threading.Thread(target=self._tell_refusal, args=(connection, reason), name="refusal")
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            self._free_refusals.release()
            connection.close()

    def _tell_refusal(self, connection: socket.socket, reason: str) -> None:
        try:
            with connection, contextlib.suppress(StreamError):
                wire = Wire.from_socket(connection, _REFUSAL_S)
                wire.send_error(f"{reason}; try again later")
                wire.send_close()
                linger(connection, self._shared.is_abandoned, _REFUSAL_S)
        finally:
            self._free_refusals.release()

    def _why_unready(self) -> str:
        if self.is_stopping:
            return "draining: scans in progress are finished, new ones are not accepted"
        return "" if self._pool.is_warm else "no worker is warm yet"

    def _live_state(self) -> dict[str, Any]:
        """What the live page shows."""
        machine = {
            "State": self._why_unready() or "ready",
            "Waiting for the device": str(self._queue.depth),
            "Memory of daemon and workers": f"{_memory_bytes() / 2**30:.1f} GiB",
        }
        if self._metrics.gpu_peak_bytes:
            machine["GPU memory, last scan"] = f"{self._metrics.gpu_peak_bytes / 2**30:.1f} GiB"
        if self._options.capture is not None:
            machine["Captured scans"] = self._options.capture.usage()
        return {**self._shared.board.as_json(), "machine": machine}

    def _metrics_text(self) -> str:
        return self._metrics.text(
            {
                "gadgetron_pisco_scans_in_progress": ("Scans in progress.", self._pool.n_scans),
                "gadgetron_pisco_queue_depth": ("Scans that wait for the device.", self._queue.depth),
                "gadgetron_pisco_gpu_memory_peak_bytes": (
                    "Most GPU memory that the last scan held.",
                    self._metrics.gpu_peak_bytes,
                ),
                "gadgetron_pisco_host_memory_bytes": ("Memory of daemon and workers.", _memory_bytes()),
            }
        )


def _memory_bytes() -> int:
    """Resident memory of this process and those that it started; pages that they share count again."""
    us = psutil.Process()
    total = us.memory_info().rss
    for process in us.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended in the meantime
            total += process.memory_info().rss
    return total
