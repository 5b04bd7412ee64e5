"""A worker's turns at the device, which it shares with other scans."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from python_recon.errors import DeadlineError
from python_recon.scan_context import present_work
from python_recon.schedule import Budget

_PULSE_S = 0.5


class Turns:
    """Fits of this process wait for the device and hold it; several of them, and their threads, at a time.

    A turn lasts as long as a fit may: whoever holds the device for longer has to give what it has.

    Parameters
    ----------
    tell
        Sends an event to the daemon.
    check
        Raises what makes waiting pointless.
    max_s
        Seconds that a turn may last.
    """

    def __init__(self, tell: Callable[..., None], check: Callable[[], None], max_s: float) -> None:
        self._tell, self._check, self._max_s = tell, check, max_s
        self._is_granted = threading.Event()
        self._lock = threading.Lock()
        self._n_inside = 0
        self._number = 0
        """Of the present turn: a grant may arrive when its turn has been given up already."""
        self._asked_at = 0.0
        self.waited_s = 0.0

    @contextmanager
    def __call__(self, budget: Budget) -> Iterator[None]:
        """The device, as soon as others leave it; a :data:`~python_recon.scan_context.Turn`."""
        self._enter()
        try:
            self._await_grant(budget)
            alarm = threading.Timer(min(self._max_s, threading.TIMEOUT_MAX), budget.cancel)
            alarm.start()
            try:
                yield
            finally:
                alarm.cancel()
        finally:
            self._leave()

    def grant(self, number: int) -> None:
        """The daemon gives the device to a turn."""
        with self._lock:
            if number != self._number or not self._n_inside:
                return
            self.waited_s += time.monotonic() - self._asked_at
            self._tell("started")
            self._is_granted.set()

    def _enter(self) -> None:
        with self._lock:
            self._n_inside += 1
            if self._n_inside > 1:
                return
            self._number += 1
            self._asked_at = time.monotonic()
            self._is_granted.clear()
            self._tell("waiting", turn=self._number, slice_name=present_work().get("slice", ""))

    def _await_grant(self, budget: Budget) -> None:
        while not self._is_granted.wait(_PULSE_S):
            self._check()
            if budget.is_spent:
                raise DeadlineError("the fit was given up while it waited for the device")

    def _leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                _free_device_memory()
                self._tell("left")


def _free_device_memory() -> None:
    """What Torch keeps for later is in the way of the next scan's fit."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
