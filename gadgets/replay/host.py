"""The embedded host: starts external gadgets as Gadgetron does."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from gadgets.replay.client import connect
from gadgets.replay.config_xml import ExternalNode, StreamConfig
from gadgets.watching import VARIABLE, told
from gadgets.wire.pump import Peer, Timeouts
from gadgets.wire.wire import Wire
from python_recon.errors import StreamError
from python_recon.resources.schedule import ProgressReport, silent

_log = logging.getLogger(__name__)
START = Path(__file__).with_name("start.py")
"""Runs a module without the working folder on the path of modules."""
_DEFAULTS = {
    "GADGETRON_EXTERNAL_LOG_LEVEL": "INFO",
    "GADGETRON_PISCO_HANDOVER": "no",
    "PYTHONUNBUFFERED": "1",
}
_RETRY_S = 0.2
_TAIL_LINES = 12
_EXIT_S = 10.0
"""From the end of the stream to the end of the process."""
_KILL_S = 2.0
_LEVEL = re.compile(r"^\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (?:\[ext\. \d+ \S+\] )?(.*)$")
"""A line of log as ``gadgetron.__main__`` formats it."""


class GadgetProcess:
    """One ``python -m gadgetron PORT MODULE TARGET`` in a session of its own, its output logged.

    Unlike with ``-m``, no module is taken from the working folder.
    """

    def __init__(self, node: ExternalNode, port: int, python: str, report: ProgressReport = silent) -> None:
        self.name = node.name
        self._report = report
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = subprocess.Popen(  # noqa: S603 - no shell; module and target are plain arguments
            [python, str(START), "gadgetron", str(port), node.module, node.target],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            # Ctrl-C belongs to the host, which then ends the gadget in order.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._log_lines, name=f"log of {node.name}", daemon=True)
        self._reader.start()

    def exit_status(self, timeout_s: float = 0.0) -> int | None:
        """The exit status, waited for up to ``timeout_s``; None while it runs."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(timeout=1.0)
        return status

    def failure(self) -> str | None:
        """Waits for the end; what went wrong, None where nothing did."""
        status = self.exit_status(_EXIT_S)
        if status is None:
            _log.warning("%s has closed its stream but still runs after %g s: ended", self.name, _EXIT_S)
            return None
        return f"the gadget ended with status {status}:\n{self.tail()}" if status else None

    def tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self._tail) or "(it wrote nothing)"

    def end_fit(self) -> None:
        """Tell it to end its fit with the best it has; other gadgets of ours take no notice."""
        if self.exit_status() is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End the process if it still runs; afterwards nothing of it is left."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            if self.exit_status() is None:
                os.killpg(self._process.pid, signal_number)
                self.exit_status(_KILL_S)
        self._reader.join(timeout=1.0)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _log_lines(self) -> None:
        for raw in self._process.stdout or ():
            line = raw.decode(errors="replace").rstrip()
            if (progress := told(line)) is not None:
                self._report(*progress)
                continue
            self._tail.append(line)
            match = _LEVEL.match(line)
            level, text = match.groups() if match else ("INFO", line)
            # An error comes over the wire too, or as an exit status with these lines: once is enough.
            shown = {"ERROR": "INFO", "CRITICAL": "INFO"}.get(level, level)
            _log.log(int(logging.getLevelName(shown)), "%s: %s", self.name, text)


@contextmanager
def open_chain(
    config: StreamConfig,
    header_xml: str,
    timeouts: Timeouts,
    python: str = sys.executable,
    report: ProgressReport = silent,
) -> Iterator[list[Peer]]:
    """Start or reach every node of a configuration and send it its configuration and the header.

    Parameters
    ----------
    python
        The interpreter that runs the gadgets.
    report
        Is told how far the fits are.

    Raises
    ------
    StreamError
        When a gadget does not connect in time, or ends before; the last lines it wrote are told.
    """
    with ExitStack() as stack:
        peers = []
        for node in config.nodes:
            peer = (
                _execute(node, partial(GadgetProcess, python=python, report=report), timeouts, stack)
                if node.port is None
                else _connect(node, timeouts, stack)
            )
            peer.wire.send_config_text(node.configuration)
            peer.wire.send_header(header_xml)
            peers.append(peer)
        yield peers


def _execute(
    node: ExternalNode, start: Callable[..., GadgetProcess], timeouts: Timeouts, stack: ExitStack
) -> Peer:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = start(node, listener.getsockname()[1])
        stack.callback(process.stop)
        connection = _accept(listener, process, timeouts.connect_s)
    stack.enter_context(connection)
    wire = Wire.from_socket(connection, 2 * timeouts.idle_s)
    return Peer(node.name, connection, wire, process.failure, process.end_fit)


def _accept(listener: socket.socket, process: GadgetProcess, timeout_s: float) -> socket.socket:
    listener.settimeout(_RETRY_S)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return listener.accept()[0]
        except TimeoutError:
            if (status := process.exit_status()) is not None:
                how = f"ended with status {status} before it connected"
                raise StreamError(f"the gadget {process.name} {how}:\n{process.tail()}") from None
    raise StreamError(f"the gadget {process.name} did not connect within {timeout_s:g} s:\n{process.tail()}")


def _connect(node: ExternalNode, timeouts: Timeouts, stack: ExitStack) -> Peer:
    connection = stack.enter_context(connect(node.address, node.port or 0, timeouts.connect_s))
    return Peer(node.name, connection, Wire.from_socket(connection, 2 * timeouts.idle_s))


def _environment() -> dict[str, str]:
    """The gadget's environment: as ours, with the Python folder of a Gadgetron installation.

    What is replayed does not come between the scans of a daemon, unless the user says so.
    """
    environment = {**_DEFAULTS, **os.environ, VARIABLE: "1"}
    if home := os.environ.get("GADGETRON_HOME"):
        folder = str(Path(home) / "share" / "gadgetron" / "python")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), folder]))
    return environment
