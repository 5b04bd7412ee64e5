"""The daemon's side of one worker: follows its scan, and speaks to the client where the worker cannot."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gadgets.capture.recorder import CaptureOutcome
from gadgets.serve.board import Board, Card
from gadgets.serve.device_queue import DeviceQueue, Entry
from gadgets.serve.line import Line
from gadgets.serve.metrics import Metrics
from gadgets.serve.parting import linger, part
from gadgets.serve.process import WorkerProcess
from gadgets.serve.progress import Phase, Progress
from gadgets.serve.voice import Ear
from gadgets.wire.messages import MessageId
from python_recon.errors import StreamError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a worker could not end its scan itself."""

    kind: str
    text: str


@dataclass
class Shared:
    """What all attendants have in common."""

    metrics: Metrics
    queue: DeviceQueue
    grace_s: float
    """What a worker may take beyond the times that are set."""
    max_idle_s: float
    board: Board = field(default_factory=Board)
    is_abandoned: threading.Event = field(default_factory=threading.Event)
    """Nobody is waited for any more."""


class Attendant:
    """Starts a worker, hands it one connection, and sees to it that the client hears of the end.

    Parameters
    ----------
    target, argument
        What the worker runs, with its end of the line, what it is to write its standard error to, and this
        argument.
    on_end
        Called with the attendant when worker and connection are gone.
    """

    def __init__(
        self,
        shared: Shared,
        target: Callable[..., None],
        argument: Any,
        on_end: Callable[[Attendant], None],
    ) -> None:
        ours, theirs = socket.socketpair()
        self._line = Line(ours)
        self._shared = shared
        self._on_end = on_end
        self._ear = Ear(lambda text: self._tell(logging.WARNING, "%s", text))
        self._process = WorkerProcess(target, theirs, self._ear.mouth, argument)
        self._connection: socket.socket | None = None
        self._card: Card | None = None
        self._scan = Progress(max_idle_s=shared.max_idle_s)
        self._lock = threading.Lock()
        self._is_over = False
        self._is_dismissed = False
        self.is_ready: bool | None = None
        """Whether the worker is warm; None while it warms up."""
        self._thread = threading.Thread(target=self._attend, args=(theirs,), name="attendant", daemon=True)
        self._thread.start()

    @property
    def _about(self) -> dict[str, str]:
        """For lines of the log."""
        return {"measurement": self._scan.measurement, "method": self._scan.method}

    @property
    def has_scan(self) -> bool:
        return self._connection is not None

    def assign(self, connection: socket.socket, peer: str) -> bool:
        """Give the worker its scan; False where the worker has gone."""
        with self._lock:
            if self._is_over:
                return False
            try:
                self._line.send_connection(connection)
            except OSError:
                return False
            self._scan.peer, self._connection = peer, connection
            self._card = self._shared.board.new()
        self._shared.metrics.start()
        return True

    def dismiss(self) -> None:
        """Let an idle worker go."""
        self._is_dismissed = True
        self._line.hang_up()

    def kill(self) -> None:
        """End the worker at once; its client, if it has one, is told."""
        self.dismiss()
        self._process.kill()

    def join(self, timeout_s: float | None = None) -> None:
        self._thread.join(timeout_s)

    def _attend(self, far_end: socket.socket) -> None:
        try:
            self._process.start(far_end, self._ear.mouth)
            failure = self._follow()
        except Exception as error:  # whatever it is, the client must not wait for ever
            _log.exception("unforeseen failure")
            failure = Failure("unforeseen", f"the scan could not be served: {type(error).__name__}: {error}")
        try:
            self._conclude(failure)
        finally:
            self._line.close()
            self._ear.close()
            self._on_end(self)

    def _follow(self) -> Failure | None:
        """Until the scan has its outcome, or the reason why there is none."""
        while True:
            try:
                message = self._line.receive(self._scan.allowed_s(self._shared.grace_s))
            except TimeoutError:
                self._process.kill()
                return Failure("deadline", self._scan.overdue_text(self._shared.grace_s))
            if message is None and self._shared.is_abandoned.is_set():
                return Failure(
                    "abandoned", "the server was ended, and this scan with it; please send it again"
                )
            if message is None:
                return Failure("worker_died", f"{self._process.ending()}; please send the scan again")
            event = message.pop("event")
            getattr(self, f"_on_{event}")(**message)
            if self._card is not None:
                self._card.follow(self._scan)
            if event == "outcome":
                return None

    # What workers tell

    def _on_ready(self, device: str, n_jobs: int) -> None:
        self._scan.phase, self.is_ready = Phase.IDLE, True
        self._shared.queue.resize(n_jobs)
        _log.info("a worker is ready on %s, process %d", device, self._process.pid)

    def _on_taken(self) -> None:
        self._scan.phase = Phase.GREETING
        _log.info("%s is served by process %d", self._scan.peer, self._process.pid)

    def _on_begun(self, measurement: str, method: str, max_recon_s: float, max_idle_s: float) -> None:
        scan = self._scan
        scan.phase, scan.measurement, scan.method = Phase.RUNNING, measurement, method
        scan.max_recon_s, scan.max_idle_s = max_recon_s, max_idle_s
        self._tell(logging.INFO, "begun by %s in process %d", scan.peer, self._process.pid)

    def _on_progress(self, stage: str, done: float) -> None:
        if self._card is not None:
            self._card.progress(stage, done)

    def _on_frame(self, frame: dict[str, Any]) -> None:
        if self._card is not None:
            self._card.show(frame)

    def _on_waiting(self, turn: int, slice_name: str) -> None:
        about = {**self._about, "slice": slice_name}

        def grant() -> None:
            self._send("granted", turn=turn)

        def hurry(is_waited_for: bool) -> None:
            self._send("hurry", is_waited_for=is_waited_for)

        self._scan.phase = Phase.WAITING
        self._shared.queue.enter(self, Entry(about, grant, hurry))

    def _on_started(self) -> None:
        self._scan.grant(self._shared.grace_s)

    def _on_left(self) -> None:
        self._shared.queue.leave(self)
        self._scan.leave()

    def _on_completed(self) -> None:
        self._scan.phase = Phase.ENDING

    def _on_received(self, n_readouts: int, is_all: bool) -> None:
        self._shared.metrics.add_readouts(n_readouts - self._scan.n_readouts)
        self._scan.n_readouts, self._scan.is_received = n_readouts, is_all

    def _on_capturing(self) -> None:
        self._scan.is_captured = True

    def _on_captured(self, outcome: str) -> None:
        self._scan.is_captured = False
        self._shared.metrics.add_capture(outcome)

    def _on_sending(self) -> None:
        self._scan.is_within_message = True

    def _on_sent(self, message: int) -> None:
        self._scan.is_within_message = False
        if message == MessageId.IMAGE:
            self._shared.metrics.add_frame()
            if self._card is not None:
                self._card.n_images += 1
        elif message == MessageId.ERROR:
            self._scan.phase = Phase.ENDING
        elif message == MessageId.CLOSE:
            self._scan.is_closed = True

    def _on_outcome(
        self,
        failure: str,
        reason: str,
        latency_s: float | None,
        images: list[tuple[str, str, int]],
        seconds: dict[str, float],
        n_skipped_previews: int,
        gpu_peak_bytes: int,
    ) -> None:
        if self._card is not None:
            self._card.end(images, reason)
        metrics = self._shared.metrics
        metrics.gpu_peak_bytes = gpu_peak_bytes
        for made, asked, count in images:
            metrics.add_images(made, asked, count)
        for stage, spent_s in seconds.items():
            metrics.add_seconds(stage, spent_s)
        metrics.add_skipped_previews(n_skipped_previews)
        if failure:
            metrics.fail(failure)
        elif latency_s is not None:
            metrics.observe_latency(latency_s)

    # The end

    def _conclude(self, failure: Failure | None) -> None:
        self._shared.queue.leave(self)
        self._reap()
        if self._scan.is_captured:
            self._on_captured(CaptureOutcome.LOST)
        with self._lock:
            self._is_over, connection = True, self._connection
        if connection is None:
            self._conclude_idle(failure)
        else:
            with connection:
                if failure is not None:
                    self._tell(logging.ERROR, "%d readouts received, %s", self._scan.n_readouts, failure.text)
                    self._shared.metrics.fail(failure.kind)
                    self._report(connection, failure)
                linger(connection, self._shared.is_abandoned)
            self._shared.metrics.finish()
        if self._card is not None:
            if failure is not None:
                self._card.end((), failure.text)
            self._shared.board.retire(self._card)

    def _conclude_idle(self, failure: Failure | None) -> None:
        """The worker ended without a scan: dismissed, or it could not even warm up."""
        if failure is not None and self._scan.phase is Phase.WARMING and not self._is_dismissed:
            self.is_ready = False
            _log.error("a worker did not start: %s", failure.text)

    def _report(self, connection: socket.socket, failure: Failure) -> None:
        try:
            part(connection, failure.text, self._scan)
        except StreamError as error:
            self._tell(logging.WARNING, "the error did not reach the client: %s", error)

    def _reap(self) -> None:
        if not self._process.reap():
            self._tell(logging.WARNING, "process %d did not end by itself: killed", self._process.pid)

    def _send(self, event: str, **details: Any) -> None:
        with contextlib.suppress(OSError):  # the worker has died: its attendant notices
            self._line.send(event, **details)

    def _tell(self, level: int, text: str, *arguments: Any) -> None:
        _log.log(level, text, *arguments, extra=self._about)
