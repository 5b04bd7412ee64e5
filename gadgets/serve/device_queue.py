"""Whose turn it is to compute: fits queue for the device, first come, first served."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping

_log = logging.getLogger(__name__)


class DeviceQueue:
    """Grants the device to the fits of as many scans at a time as it has room for."""

    def __init__(self, n_jobs: int = 1) -> None:
        self._n_jobs = n_jobs
        self._computing: set[Hashable] = set()
        self._waiting: dict[Hashable, tuple[Mapping[str, str], Callable[[], None]]] = {}
        self._lock = threading.Lock()

    @property
    def depth(self) -> int:
        """Scans that wait."""
        return len(self._waiting)

    def resize(self, n_jobs: int) -> None:
        """From now on, so many may compute at a time."""
        with self._lock:
            self._n_jobs = n_jobs
            self._advance()

    def enter(self, key: Hashable, about: Mapping[str, str], grant: Callable[[], None]) -> None:
        """Queue; ``grant`` is called at once or, from another thread, when it is the turn of ``key``.

        ``about`` names the scan in the lines of the log.
        """
        with self._lock:
            self._waiting[key] = about, grant
            self._advance()
            if key in self._waiting:
                self._tell(key, len(self._waiting))

    def leave(self, key: Hashable) -> None:
        """Give the device back, or give up waiting for it; nothing where ``key`` did neither."""
        with self._lock:
            self._computing.discard(key)
            self._waiting.pop(key, None)
            if self._advance():
                for position, waiting in enumerate(self._waiting, 1):
                    self._tell(waiting, position)

    def _advance(self) -> bool:
        """Whether anybody's turn has come."""
        n_before = len(self._waiting)
        while self._waiting and len(self._computing) < self._n_jobs:
            key = next(iter(self._waiting))
            _, grant = self._waiting.pop(key)
            self._computing.add(key)
            grant()
        return len(self._waiting) < n_before

    def _tell(self, key: Hashable, position: int) -> None:
        _log.info("waits for the device, position %d", position, extra=dict(self._waiting[key][0]))
