"""The worker's end of the line to the daemon."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import ismrmrd

from gadgets.capture.recorder import CaptureOutcome
from gadgets.scan import ScanRecord
from gadgets.serve.frames import Frames
from gadgets.serve.line import Line
from gadgets.serve.turns import Turns
from gadgets.wire.channels import Buffer, SocketChannel
from gadgets.wire.prefetch import Prefetch
from python_recon.config import Config
from python_recon.errors import StreamError

_PULSE_S = 0.5
"""How often the daemon hears how much was received."""
_ORPHANED = 3


class Desk:
    """Tells the daemon how the scan goes, and hears when it is its turn to compute.

    Ends the process when the daemon is gone.
    """

    turns: Turns
    """At the device; from :meth:`begin` on."""

    def __init__(self, line: Line, fair_share_s: float, scratch: str) -> None:
        self._line, self._fair_share_s, self._scratch = line, fair_share_s, scratch
        self._items: Prefetch | None = None
        self._told: tuple[int, bool] = (0, False)
        self._pulse_lock = threading.Lock()
        self._progress_s, self._frames = 0.0, Frames()
        self._tell("taken")
        threading.Thread(target=self._listen, name="line", daemon=True).start()

    def begin(self, measurement_id: str, config: Config, items: Prefetch) -> None:
        """The client has said what it wants, and its data arrive from now on."""
        self.turns = Turns(self._tell, items.check, config.max_recon_seconds, self._fair_share_s)
        self._items = items
        self._tell(
            "begun",
            measurement=measurement_id,
            method=config.method,
            max_recon_s=config.max_recon_seconds,
            max_idle_s=config.max_idle_seconds,
        )

    @contextmanager
    def message(self, message: int) -> Iterator[None]:
        """A message with this id is being sent: until its end nobody else can speak to the client."""
        self._tell("sending")
        yield
        self._tell("sent", message=message)

    def progress(self, stage: str, done: float) -> None:
        """A :data:`~python_recon.resources.schedule.ProgressReport` that the daemon hears now and then."""
        if time.monotonic() - self._progress_s >= _PULSE_S:
            self._progress_s = time.monotonic()
            self._tell("progress", stage=stage, done=done)

    def show(self, item: Any) -> None:
        """An image for the live page, if it is one and has not just been shown."""
        if isinstance(item, ismrmrd.Image) and (frame := self._frames.picture_of(item)) is not None:
            self._tell("frame", frame=frame)

    def complete(self) -> None:
        """All images were sent."""
        self._tell("completed")

    def capture_begins(self) -> None:
        """The scan is kept from now on, if it can be."""
        self._tell("capturing")

    def capture_ends(self, outcome: CaptureOutcome) -> None:
        """What became of the capture."""
        self._tell("captured", outcome=outcome.value)

    def conclude(self, record: ScanRecord) -> None:
        """The scan has ended, the client was told."""
        self._pulse()
        for frame in self._frames.rest():
            self._tell("frame", frame=frame)
        self._tell(
            "outcome",
            failure=record.failure,
            reason=record.reason,
            latency_s=record.latency_s,
            images=[[*methods, count] for methods, count in record.images.items()],
            seconds=record.seconds,
            n_skipped_previews=record.n_skipped_previews,
            gpu_peak_bytes=_gpu_peak_bytes(),
        )

    def _listen(self) -> None:
        while True:
            try:
                message = self._line.receive(_PULSE_S)
            except TimeoutError:
                self._pulse()
                continue
            if message is None:
                self._end_orphaned()
            if message["event"] == "granted":
                self.turns.grant(message["turn"])
            else:
                self.turns.is_waited_for = message["is_waited_for"]

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
        except OSError:
            self._end_orphaned()

    def _end_orphaned(self) -> NoReturn:
        tidy(self._scratch)
        os._exit(_ORPHANED)


class ToldChannel(SocketChannel):
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


def tidy(scratch: str) -> None:
    """Remove the daemon's temporary files where it is gone; while it lives, it does so itself."""
    daemon = multiprocessing.parent_process()
    if daemon is None or not daemon.is_alive():
        shutil.rmtree(scratch, ignore_errors=True)


def _gpu_peak_bytes() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
