"""The process that reconstructs one scan: it warms up, waits for a connection, serves it and ends."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gadgets.capture.recorder import Capture, CaptureSettings
from gadgets.scan import ScanRecord, reported, run_stage
from gadgets.serve import logs
from gadgets.serve.defaults import Defaults
from gadgets.serve.desk import Desk, ToldChannel, tidy
from gadgets.serve.line import Line
from gadgets.serve.most import limited
from gadgets.serve.settings import config_of
from gadgets.serve.voice import speak_through
from gadgets.stage import Stage, images
from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.prefetch import Prefetch
from gadgets.wire.wire import Wire
from python_recon.config import Config
from python_recon.errors import StreamError
from python_recon.methods.registry import validate
from python_recon.resources.memory import host_limit
from python_recon.resources.scan_context import sharing_device, watched_by

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told when it starts."""

    log: logs.LogSettings
    max_idle_s: float
    """Silence of the client before its configuration is known."""
    n_jobs: int | None
    """Scans whose fits run at a time on this machine; None: as many as suit the device."""
    capture: CaptureSettings | None = None
    """Where scans are kept; None: nowhere."""
    defaults: Defaults = field(default_factory=Defaults)
    """What runs where a client does not say it."""
    fair_share_s: float = math.inf
    """What a fit may take of the device while another scan waits for it."""
    most: Mapping[str, float] = field(default_factory=dict)
    """What clients may ask for at most, by the names of settings."""
    shows_images: bool = False
    """Whether the live page is to see them."""
    scratch: str = ""
    """The daemon's folder of temporary files; where the daemon is killed, nobody else removes it."""


def work(sock: socket.socket, mouth: socket.socket, settings: WorkerSettings) -> None:
    """The life of a worker: the target of its process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the daemon's: it lets scans finish
        signal.signal(number, signal.SIG_IGN)
    logs.configure(settings.log, speak_through(mouth) if settings.log.is_json else None)
    line = Line(sock)
    device = warm_up()
    n_jobs = settings.n_jobs or _jobs_for(device)
    _share_cores(n_jobs)
    try:
        line.send("ready", device=device, n_jobs=n_jobs)
        connection = line.receive_connection()
    except OSError:
        connection = None
    if connection is None:  # not needed any more
        tidy(settings.scratch)
        return
    with connection:
        _serve(connection, Desk(line, settings.fair_share_s, settings.scratch), settings)


def warm_up() -> str:
    """Load what a scan needs and use it once; returns the device, ``cpu`` or ``cuda``."""
    import torch

    from python_recon.config import Config
    from python_recon.operators.nufft import Nufft
    from python_recon.resources.device import set_up

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


def _serve(connection: socket.socket, desk: Desk, settings: WorkerSettings) -> None:
    wire = Wire(ToldChannel(connection, settings.max_idle_s, desk))
    record = ScanRecord()
    with Capture(settings.capture, desk.capture_ends) as capture:
        with reported(wire, record) as items:
            default = settings.defaults.of(_port_of(connection))
            _reconstruct(wire, items, desk, record, capture, default, settings)
        try:
            wire.send_close()
        except StreamError as error:
            _log.info("the client did not wait for the end: %s", error)
    desk.conclude(record)


def _port_of(connection: socket.socket) -> int:
    """The port that the client came to; 0 for one of this machine, which brings its settings."""
    return 0 if connection.family is socket.AF_UNIX else int(connection.getsockname()[1])


def _reconstruct(
    wire: Wire,
    items: Prefetch,
    desk: Desk,
    record: ScanRecord,
    capture: Capture,
    default: Mapping[str, Any],
    settings: WorkerSettings,
) -> None:
    try:
        session = wire.receive_session()
    except StreamError:
        items.give_up()
        raise
    record.measurement_id = _measurement_id(session.header)
    logs.name_scan(record.measurement_id)
    if capture.attach(items, session.header):
        desk.capture_begins()
    config = limited(config_of(session, default), settings.most)
    validate(config)
    logs.name_scan(record.measurement_id, config.method)
    capture.keep_config(config)
    wire.set_max_idle(config.max_idle_seconds)
    items.limit(host_limit(config))
    items.start()
    desk.begin(record.measurement_id, config, items)
    try:
        stage = _shown(images, desk) if settings.shows_images else images
        with sharing_device(desk.turns), watched_by(desk.progress):
            run_stage(wire, items, session.header, config, stage, record)
    finally:
        record.seconds["waiting"] = desk.turns.waited_s
    desk.complete()


def _shown(stage: Stage, desk: Desk) -> Stage:
    """The stage, whose images the live page sees, too."""

    def showing(stream: ReadoutStream, config: Config) -> Iterator[Any]:
        for item in stage(stream, config):
            yield item  # who waits for it comes first
            desk.show(item)

    return showing


def _measurement_id(header: Any) -> str:
    information = header.measurementInformation
    return (information.measurementID or "") if information is not None else ""
