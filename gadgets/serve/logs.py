"""Logs of the daemon: text on a terminal, JSON otherwise, the measurement id in every line."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime, timezone

_TEXT = "%(asctime)s %(levelname)s [%(measurement)s] %(name)s: %(message)s"
_CHATTY = ("matplotlib", "PIL", "h5py", "numba")
_MAX_ID = 64


@dataclass(frozen=True)
class LogSettings:
    """How the daemon and its workers log."""

    level: int = logging.INFO
    is_json: bool = True


class _Measurement(logging.Filter):
    """Puts the measurement of this process into the lines that name none."""

    current = "-"

    def filter(self, record: logging.LogRecord) -> bool:
        record.measurement = printable(getattr(record, "measurement", "")) or self.current
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "measurement": getattr(record, "measurement", "-"),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


_measurement = _Measurement()


def configure(settings: LogSettings) -> None:
    """Log to stderr, in place of what was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.is_json else logging.Formatter(_TEXT))
    handler.addFilter(_measurement)
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def name_measurement(measurement_id: str) -> None:
    """Every line of this process is from now on about this measurement."""
    _measurement.current = printable(measurement_id) or "-"


def printable(text: str) -> str:
    """What a peer said, fit for one line of a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_ID])
