"""What libraries write past the logging, to the standard error: the daemon logs it, line by line.

A worker cannot do that itself: what a library says in its last moment would be lost with the process.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TextIO

_STDERR = 2
_LONGEST = 1 << 12


class Ear:
    """The daemon's end; the worker gets ``mouth``."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._ours, self.mouth = socket.socketpair()
        self._tell = tell
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """To be called when the worker is gone, or could not be started."""
        self.mouth.close()
        self._thread.join()
        self._ours.close()
        del self._tell  # whose owner holds us: what both hold is freed when it is let go, not some day

    def _listen(self) -> None:
        with self._ours.makefile("rb") as lines:
            while line := lines.readline(_LONGEST):
                if text := line.decode(errors="replace").strip():
                    self._tell(text)


def speak_through(mouth: socket.socket) -> TextIO:
    """Send this process's standard error to the daemon from now on; returns where it went before."""
    former = os.fdopen(os.dup(_STDERR), "w", buffering=1)
    os.dup2(mouth.fileno(), _STDERR)
    mouth.close()
    return former
