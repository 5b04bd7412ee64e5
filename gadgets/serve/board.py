"""What the live page shows: scans that wait, run and have ended, as their attendants tell."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gadgets.console import TimeLeft
from gadgets.serve.progress import Phase, Progress

_STATES = {Phase.WAITING: "waiting", Phase.ENDING: "sending"}
_MOST_ENDED = 20
_MOST_ERRORS = 10
_MOST_SERIES = 12
"""Of a scan, whose newest frames are shown."""


@dataclass
class Card:
    """One scan."""

    number: int
    measurement: str = ""
    method: str = ""
    state: str = "arriving"
    """arriving, waiting, fitting, sending, done or failed."""
    n_readouts: int = 0
    n_images: int = 0
    stage: str = ""
    done: float = 0.0
    time_left: str = ""
    made: list[str] = field(default_factory=list)
    """How many images which method made, in place of which."""
    failure: str = ""
    frames: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The newest of each series: what :func:`gadgets.serve.frames.picture_of` gives."""
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None
    left: TimeLeft = field(default_factory=TimeLeft, repr=False)

    def progress(self, stage: str, done: float) -> None:
        """The fit is so far."""
        self.stage, self.done, self.time_left = stage, done, self.left.text(done).removeprefix(", ")

    def follow(self, scan: Progress) -> None:
        """What the worker tells of a scan that is not over."""
        if self.state in ("done", "failed"):
            return
        self.measurement, self.method, self.n_readouts = scan.measurement, scan.method, scan.n_readouts
        if scan.phase is Phase.RUNNING:
            self.state = "arriving" if scan.turn_ends is None and not scan.is_received else "fitting"
        else:
            self.state = _STATES.get(scan.phase, "arriving")

    def show(self, frame: Mapping[str, Any]) -> None:
        """A newer frame of a series."""
        key = str(frame["key"])
        if key in self.frames or len(self.frames) < _MOST_SERIES:
            self.frames[key] = frame

    def end(self, images: Sequence[tuple[str, str, int]], failure: str) -> None:
        """The scan is over."""
        self.made = [
            f"{count} by {made}" if made == asked else f"{count} by {made} in place of {asked}"
            for made, asked, count in images
        ]
        self.failure = failure
        self.state = "failed" if failure else "done"

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        seconds = (self.ended_s or time.monotonic()) - self.began_s
        told = {name: value for name, value in vars(self).items() if name not in _UNTOLD}
        return {**told, "frames": list(self.frames.values()), "seconds": round(seconds)}


_UNTOLD = ("left", "began_s", "ended_s", "frames")


class Board:
    """Cards of the scans that run, and of the last ones that ended; any thread may change them."""

    def __init__(self, *, shows_images: bool = False) -> None:
        self.shows_images = shows_images
        self._lock = threading.Lock()
        self._number = 0
        self._running: dict[int, Card] = {}
        self._ended: deque[Card] = deque(maxlen=_MOST_ENDED)
        self._errors: deque[dict[str, str]] = deque(maxlen=_MOST_ERRORS)

    def new(self) -> Card:
        """A scan begins."""
        with self._lock:
            self._number += 1
            card = self._running[self._number] = Card(self._number)
            return card

    def retire(self, card: Card) -> None:
        """A scan is over, in whatever way."""
        with self._lock:
            if self._running.pop(card.number, None) is None:
                return
            card.ended_s = time.monotonic()
            self._ended.appendleft(card)
            if card.failure:
                scan = card.measurement or f"scan {card.number}"
                self._errors.appendleft(
                    {"scan": scan, "text": card.failure, "time": time.strftime("%H:%M:%S")}
                )

    def as_json(self) -> dict[str, Any]:
        """Everything, newest first."""
        with self._lock:
            running = [card.as_json() for card in reversed(self._running.values())]
            return {
                "running": running,
                "ended": [card.as_json() for card in self._ended],
                "errors": list(self._errors),
                "shows_images": self.shows_images,
            }
