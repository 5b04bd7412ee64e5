"""A worker's turns at the device, which it shares with other scans."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from python_recon.errors import DeadlineError
from python_recon.resources.scan_context import present_work
from python_recon.resources.schedule import Budget

_PULSE_S = 0.5
_LEAST_SHARE = 0.1
"""What a later fit of a scan may take at least, relative to the fair share of all its fits."""
_log = logging.getLogger(__name__)


class Turns:
    """Fits of this process wait for the device and hold it; several of them, and their threads, at a time.

    A turn lasts as long as a fit may: whoever holds the device for longer has to give what it has. So has
    one that has become pointless, and one that has had its fair share when another scan waits. The last is
    what bounds the wait behind a client that has gone without our knowing: a Gadgetron server keeps our
    connection open while a fit runs, whatever became of its own client.

    Parameters
    ----------
    tell
        Sends an event to the daemon.
    check
        Raises what makes waiting, and computing, pointless.
    max_s
        Seconds that a turn may last.
    fair_s
        The same while another scan waits, for all turns together; a tenth of it for each one beyond.
    """

    is_waited_for: bool = False
    """Whether another scan waits for the device, as the daemon tells; may be set by any thread."""

    def __init__(
        self, tell: Callable[..., None], check: Callable[[], None], max_s: float, fair_s: float
    ) -> None:
        self._tell, self._check, self._max_s, self._fair_s = tell, check, max_s, fair_s
        self._is_granted = threading.Event()
        self._lock = threading.Lock()
        self._n_inside = 0
        self._number = 0
        """Of the present turn: a grant may arrive when its turn has been given up already."""
        self._asked_at = 0.0
        self._held_s = 0.0
        """In former turns."""
        self.waited_s = 0.0

    @contextmanager
    def __call__(self, budget: Budget) -> Iterator[None]:
        """The device, as soon as others leave it; a :data:`~python_recon.resources.scan_context.Turn`."""
        self._enter()
        try:
            self._await_grant(budget)
            with self._watched(budget):
                yield
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

    @contextmanager
    def _watched(self, budget: Budget) -> Iterator[None]:
        is_over, started = threading.Event(), time.monotonic()
        watch = threading.Thread(target=self._watch, args=(budget, is_over), name="turn", daemon=True)
        watch.start()
        try:
            yield
        finally:
            is_over.set()
            watch.join()
            self._held_s += time.monotonic() - started

    def _watch(self, budget: Budget, is_over: threading.Event) -> None:
        """Cancel what the budget is for when its turn is over, or it has become pointless."""
        started = time.monotonic()
        share_s = max(self._fair_s - self._held_s, _LEAST_SHARE * self._fair_s)
        while not is_over.wait(min(_PULSE_S, max(started + self._max_s - time.monotonic(), 0.0))):
            spent_s = time.monotonic() - started
            if spent_s >= self._max_s or not self._has_point():
                budget.cancel()
                return
            if self.is_waited_for and spent_s >= share_s:
                budget.cancel(f"ended after {spent_s:.0f} s, because another scan waited for the device")
                _log.warning("the fit gives way to a scan that waits, after %.0f s", spent_s)
                return

    def _has_point(self) -> bool:
        try:
            self._check()
        except Exception as error:  # whoever takes the items hears of it, too
            _log.warning("the fit is ended: %s", error)
            return False
        return True

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
