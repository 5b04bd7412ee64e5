"""The live page: its files, and the stream of what it shows. It only reads, and loads nothing else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
EVENTS = "/events"
_FILES = {
    "/": ("live.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
}
_STATE = "<!-- state -->"
_EVERY_S = 0.5
_STREAM_S = 60.0
"""Then the browser asks again: no stream lasts for ever."""
_MOST_STREAMS = 8


@dataclass
class Live:
    """What the page shows, to so many readers at a time."""

    state: Callable[[], dict[str, Any]]
    is_over: threading.Event = field(default_factory=threading.Event)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MOST_STREAMS))

    def file(self, path: str) -> tuple[str, str] | None:
        """Text and type of a file of the page; None where there is none of that path."""
        if path not in _FILES:
            return None
        name, content_type = _FILES[path]
        text = (resources.files("gadgets.serve") / "page" / name).read_text(encoding="utf-8")
        if _STATE in text:  # so that the page is drawn at once, and the stream only goes on
            text = text.replace(_STATE, json.dumps(self.state()).replace("<", "\\u003c"))
        return text, content_type

    def events(self) -> Iterator[bytes]:
        """Server-sent events, whenever something has changed; empty where too many listen."""
        if not self._free.acquire(blocking=False):
            return
        try:
            yield from self._changes()
        finally:
            self._free.release()

    def _changes(self) -> Iterator[bytes]:
        ends_s, last = time.monotonic() + _STREAM_S, ""
        yield b"retry: 2000\n\n"
        while time.monotonic() < ends_s:
            text = json.dumps(self.state())
            yield b": still here\n\n" if text == last else f"data: {text}\n\n".encode()
            last = text
            if self.is_over.wait(_EVERY_S):
                return
