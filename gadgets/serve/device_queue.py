"""Whose turn it is to compute: fits queue for the device, first come, first served."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass
class Entry:
    """One that waits for the device, or holds it."""

    about: Mapping[str, str]
    """Names the scan in the lines of the log."""
    grant: Callable[[], None]
    """Called, at once or from another thread, when its turn has come."""
    hurry: Callable[[bool], None]
    """Called whenever others begin to wait for what it holds, and when none waits any more."""
    is_hurried: bool = False


class DeviceQueue:
    """Grants the device to the fits of as many scans at a time as it has room for."""

    def __init__(self, n_jobs: int = 1) -> None:
        self._n_jobs = n_jobs
        self._computing: dict[Hashable, Entry] = {}
        self._waiting: dict[Hashable, Entry] = {}
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

    def enter(self, key: Hashable, entry: Entry) -> None:
        """Queue."""
        with self._lock:
            self._waiting[key] = entry
            self._advance()
            if key in self._waiting:
                self._tell(key, len(self._waiting))

    def leave(self, key: Hashable) -> None:
        """Give the device back, or give up waiting for it; nothing where ``key`` did neither."""
        with self._lock:
            self._computing.pop(key, None)
            self._waiting.pop(key, None)
            if self._advance():
                for position, waiting in enumerate(self._waiting, 1):
                    self._tell(waiting, position)

    def _advance(self) -> bool:
        """Whether anybody's turn has come."""
        n_before = len(self._waiting)
        while self._waiting and len(self._computing) < self._n_jobs:
            key = next(iter(self._waiting))
            self._computing[key] = entry = self._waiting.pop(key)
            entry.grant()
        self._hurry()
        return len(self._waiting) < n_before

    def _hurry(self) -> None:
        is_waited_for = bool(self._waiting)
        for entry in self._computing.values():
            if entry.is_hurried != is_waited_for:
                entry.is_hurried = is_waited_for
                entry.hurry(is_waited_for)

    def _tell(self, key: Hashable, position: int) -> None:
        _log.info("waits for the device, position %d", position, extra=dict(self._waiting[key].about))
