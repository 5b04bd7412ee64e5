"""Logs of the daemon: text on a terminal, JSON otherwise; every line names measurement, slice and method."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TextIO

from python_recon.resources.scan_context import present_work

NOTHING = "-"
"""Where a line is about no measurement, slice or method."""
_ABOUT = ("measurement", "slice", "method")
_TEXT = "%(asctime)s %(levelname)s [%(measurement)s, %(slice)s, %(method)s] %(name)s: %(message)s"
_CHATTY = ("matplotlib", "PIL", "h5py", "numba")
_MAX_ID = 64


@dataclass(frozen=True)
class LogSettings:
    """How the daemon and its workers log."""

    level: int = logging.INFO
    is_json: bool = True


class WorkFilter(logging.Filter):
    """Puts into every line what it is about: what the line itself says, or the present work, or the scan."""

    def __init__(self) -> None:
        super().__init__()
        self.scan: Mapping[str, str] = {}
        """Measurement and method of this process's scan."""

    def filter(self, record: logging.LogRecord) -> bool:
        known = {**self.scan, **present_work()}
        for name in _ABOUT:
            said = getattr(record, name, "") or known.get(name, "")
            setattr(record, name, printable(said) or NOTHING)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **{name: getattr(record, name, NOTHING) for name in _ABOUT},
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if (figures := getattr(record, "scan", None)) is not None:
            entry["scan"] = figures
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


_work = WorkFilter()


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Log to a stream, by default stderr, in place of what was configured before; Python's warnings, too."""
    logging.basicConfig(
        level=settings.level, handlers=[handler_for(settings, stream or sys.stderr)], force=True
    )
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def handler_for(settings: LogSettings, stream: TextIO) -> logging.Handler:
    """Writes to the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if settings.is_json else logging.Formatter(_TEXT))
    handler.addFilter(_work)
    return handler


def name_scan(measurement_id: str, method: str = "") -> None:
    """Every line of this process is from now on about this scan."""
    _work.scan = {"measurement": measurement_id, "method": method}


def printable(text: str) -> str:
    """What a peer said, fit for one line of a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_ID])
