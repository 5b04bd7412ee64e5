"""A worker as a process: started, ended, and what became of it."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
"""Workers are forked from a process that has loaded everything and holds no connection."""

_EXIT_S = 10.0
"""From the end of a scan to the end of its process."""
_ALL = threading.Lock()
"""multiprocessing looks after all children whenever one is started or waited for."""


class WorkerProcess:
    """One process; its arguments may be sockets, which it inherits."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._process = CONTEXT.Process(target=target, args=arguments, daemon=True)

    @property
    def pid(self) -> int | None:
        """None before the start."""
        return self._process.pid

    def start(self, *inherited: socket.socket) -> None:
        """Start it, and close what it has inherited."""
        try:
            with _ALL:
                self._process.start()
        finally:
            for each in inherited:
                each.close()

    def kill(self) -> None:
        """End it at once, where it has been started."""
        if self._process.pid is not None:
            self._process.kill()

    def reap(self) -> bool:
        """Wait for its end, not for long, and end it where it still runs; False where that was necessary."""
        if self._process.pid is None:
            return True
        has_ended = bool(wait([self._process.sentinel], _EXIT_S))
        if not has_ended:
            self._process.kill()
        with _ALL:
            self._process.join()
        return has_ended

    def ending(self) -> str:
        """How it ended, in words; waits for that."""
        self.reap()
        status = self._process.exitcode
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            hint = " (is the host short of memory?)" if name == "SIGKILL" else ""
            return f"the process of the reconstruction was ended by {name}{hint}"
        return f"the process of the reconstruction ended with status {status}"
