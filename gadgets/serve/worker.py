"""The process that reconstructs one scan: it warms up, waits for a connection, serves it and ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gadgets.channels import Buffer, SocketChannel
from gadgets.radial import images
from gadgets.scan import ScanRecord, reported, run_stage
from gadgets.serve import logs
from gadgets.serve.line import Line
from gadgets.serve.settings import config_of
from gadgets.wire import Prefetch, Wire
from python_recon.config import Config
from python_recon.errors import StreamError
from python_recon.methods.registry import validate

_PULSE_S = 0.5
"""How often the daemon hears how much was received."""
_ORPHANED = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told when it starts."""

    log: logs.LogSettings
    max_idle_s: float
    """Silence of the client before its configuration is known."""
    n_jobs: int | None
    """Scans that compute at a time on this machine; None: as many as suit the device."""


def work(sock: socket.socket, settings: WorkerSettings) -> None:
    """The life of a worker: the target of its process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the daemon's: it lets scans finish
        signal.signal(number, signal.SIG_IGN)
    logs.configure(settings.log)
    line = Line(sock)
    device = warm_up()
    n_jobs = settings.n_jobs or _jobs_for(device)
    _share_cores(n_jobs)
    try:
        line.send("ready", device=device, n_jobs=n_jobs)
        connection = line.receive_connection()
    except OSError:
        return  # not needed any more
    if connection is not None:
        with connection:
            _serve(connection, Desk(line), settings.max_idle_s)


def warm_up() -> str:
    """Load what a scan needs and use it once; returns the device, ``cpu`` or ``cuda``."""
    import torch

    from python_recon.config import Config
    from python_recon.device import set_up
    from python_recon.operators.nufft import Nufft

    device = set_up(Config())
    spoke = torch.linspace(-8, 8, 33, device=device)
    trajectory = torch.stack([spoke, torch.zeros_like(spoke)], dim=-1)[None, None]
    nufft = Nufft(trajectory, (16, 16))
    kspace = nufft.forward(torch.ones((1, 1, 16, 16), dtype=torch.complex64, device=device))
    torch.fft.ifft2(nufft.adjoint(kspace)).cpu()
    return device


def _jobs_for(device: str) -> int:
    return 1 if device == "cuda" else max((os.cpu_count() or 2) // 2, 1)


def _share_cores(n_jobs: int) -> None:
    import torch

    torch.set_num_threads(max(torch.get_num_threads() // n_jobs, 1))


class Desk:
    """The worker's end of the line: tells the daemon how the scan goes, and hears when it is its turn.

    Ends the process when the daemon is gone.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._is_granted = threading.Event()
        self._items: Prefetch | None = None
        self._told: tuple[int, bool] = (0, False)
        self._pulse_lock = threading.Lock()
        self._tell("taken")
        threading.Thread(target=self._listen, name="line", daemon=True).start()

    def begin(self, measurement_id: str, config: Config, items: Prefetch) -> None:
        """The client has said what it wants, and its data arrive from now on."""
        self._items = items
        self._tell(
            "begun",
            measurement=measurement_id,
            max_recon_s=config.max_recon_seconds,
            max_idle_s=config.max_idle_seconds,
        )

    @contextmanager
    def turn(self, items: Prefetch, record: ScanRecord) -> Iterator[None]:
        """The device, as soon as others leave it; raises what broke the client's stream off before."""
        is_complete = False
        self._tell("waiting")
        try:
            self._await_turn(items, record)
            yield
            is_complete = True
        finally:
            self._tell("left", is_complete=is_complete)

    def _await_turn(self, items: Prefetch, record: ScanRecord) -> None:
        started = time.monotonic()
        while not self._is_granted.wait(_PULSE_S):
            items.raise_failure()
        record.waiting_s = time.monotonic() - started
        self._tell("started")

    @contextmanager
    def message(self, message: int) -> Iterator[None]:
        """A message with this id is being sent: until its end nobody else can speak to the client."""
        self._tell("sending")
        yield
        self._tell("sent", message=message)

    def conclude(self, record: ScanRecord) -> None:
        """The scan has ended, the client was told."""
        self._pulse()
        self._tell(
            "outcome", failure=record.failure, latency_s=record.latency_s, gpu_peak_bytes=_gpu_peak_bytes()
        )

    def _listen(self) -> None:
        while True:
            try:
                message = self._line.receive(_PULSE_S)
            except TimeoutError:
                self._pulse()
                continue
            if message is None:
                os._exit(_ORPHANED)
            self._is_granted.set()

    def _pulse(self) -> None:
        if self._items is None:
            return
        with self._pulse_lock:
            state = self._items.n_received, self._items.ended_at is not None
            if state != self._told:
                self._told = state
                self._tell("received", n_readouts=state[0], is_all=state[1])

    def _tell(self, event: str, **details: Any) -> None:
        try:
            self._line.send(event, **details)
        except OSError:  # the daemon is gone
            os._exit(_ORPHANED)


class _ToldChannel(SocketChannel):
    """A socket; the daemon is told when a message is under way."""

    def __init__(self, sock: socket.socket, max_idle_seconds: float, desk: Desk) -> None:
        super().__init__(sock, max_idle_seconds)
        self._desk = desk
        self._is_torn = False

    def write(self, data: Buffer) -> None:
        """Send all of a message, or never anything again."""
        if self._is_torn:
            raise StreamError("an earlier message was cut short, nothing can follow it")
        self._is_torn = True
        with self._desk.message(int.from_bytes(data[:2], "little")):
            super().write(data)
        self._is_torn = False


def _serve(connection: socket.socket, desk: Desk, max_idle_s: float) -> None:
    wire = Wire(_ToldChannel(connection, max_idle_s, desk))
    record = ScanRecord()
    with reported(wire, record) as items:
        _reconstruct(wire, items, desk, record)
    try:
        wire.send_close()
    except StreamError as error:
        _log.info("the client did not wait for the end: %s", error)
    desk.conclude(record)


def _reconstruct(wire: Wire, items: Prefetch, desk: Desk, record: ScanRecord) -> None:
    try:
        session = wire.receive_session()
    except StreamError:
        items.give_up()
        raise
    record.measurement_id = _measurement_id(session.header)
    logs.name_measurement(record.measurement_id)
    config = config_of(session)
    validate(config)
    wire.set_max_idle(config.max_idle_seconds)
    items.start()
    desk.begin(record.measurement_id, config, items)
    with desk.turn(items, record):
        run_stage(wire, items, session.header, config, images, record)


def _measurement_id(header: Any) -> str:
    information = header.measurementInformation
    return (information.measurementID or "") if information is not None else ""


def _gpu_peak_bytes() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
