"""How a gadget's process and the host that started it watch a fit: lines of progress, and a wish to end.

The host asks for the lines by a variable of the environment; Gadgetron does not, and gets none. A first
SIGINT tells the process to end its fits with the best they have; it then goes on and sends its images.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from python_recon.resources.schedule import Budget, ProgressReport

VARIABLE = "GADGETRON_PISCO_PROGRESS"
_MARK = "progress: "
_LEAST_S = 0.5
"""Between two lines."""
REASON = "ended early, as was wished, with the best that the fit had until then"


def told(line: str) -> tuple[str, float] | None:
    """What a line of the gadget's output says of its progress; None for all other lines."""
    if not line.startswith(_MARK):
        return None
    try:
        stage, done = json.loads(line.removeprefix(_MARK))
        return str(stage), float(done)
    except (ValueError, TypeError):
        return None


@contextmanager
def watched() -> Iterator[None]:
    """Within the block fits tell how far they are, and end when they are told to; only where a host asks."""
    if os.environ.get(VARIABLE) != "1" or threading.current_thread() is not threading.main_thread():
        yield
        return
    from python_recon.resources.scan_context import sharing_device, watched_by

    wish = Wish()
    former = signal.signal(signal.SIGINT, lambda *_: wish.end())
    try:
        with watched_by(_lines()), sharing_device(wish.turn):
            yield
    finally:
        signal.signal(signal.SIGINT, former)


class Wish:
    """Ends the fits that run, and those that begin later, with what they have."""

    def __init__(self) -> None:
        self._budgets: list[Budget] = []
        self._is_uttered = False

    def end(self) -> None:
        """May be called by a signal handler."""
        self._is_uttered = True
        for budget in list(self._budgets):
            budget.cancel(REASON)

    def turn(self, budget: Budget) -> nullcontext[None]:
        """A :data:`~python_recon.resources.scan_context.Turn` that knows whom to tell."""
        self._budgets.append(budget)
        if self._is_uttered:
            budget.cancel(REASON)
        return nullcontext()


def _lines() -> ProgressReport:
    last_s = 0.0

    def report(stage: str, done: float) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _LEAST_S:
            last_s = time.monotonic()
            sys.stderr.write(f"{_MARK}{json.dumps([stage, round(done, 4)])}\n")
            sys.stderr.flush()

    return report
