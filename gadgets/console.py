"""Where the command line writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from python_recon.errors import ConfigError

output = Console()
errors = Console(stderr=True)
_LOG_EVERY_S = 3.0
_LEAST_SHARE, _MINUTES_FROM_S = 0.03, 120.0
_log = logging.getLogger(__name__)


class ConsoleHandler(logging.Handler):
    """Logs to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Progress bars: one of what is sent or done, and one of the fit, as soon as there is one."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole = bars.add_task("starting", total=1.0)
        self._fit: TaskID | None = None
        self._left = TimeLeft()
        self._logged_s = 0.0

    def __call__(self, stage: str, done: float) -> None:
        """A :data:`~python_recon.resources.schedule.ProgressReport` of the whole."""
        self._bars.update(self._whole, description=stage, completed=done)

    def fit(self, stage: str, done: float) -> None:
        """The same of a fit; logged every few seconds as well."""
        text = f"{stage}{self._left.text(done)}"
        if self._fit is None:
            self._fit = self._bars.add_task(text, total=1.0)
        self._bars.update(self._fit, description=text, completed=done)
        if time.monotonic() - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = time.monotonic()
            _log.info("%3.0f %%: %s", 100 * done, text)


class TimeLeft:
    """How long something will still take, by how long its share so far took."""

    def __init__(self) -> None:
        self._start_s, self._start_done, self._last = time.monotonic(), 0.0, 0.0

    def text(self, done: float) -> str:
        """Such as ``, about 40 s left``; empty while nobody can tell."""
        if done < self._last:  # something else has begun
            self._start_s, self._start_done = time.monotonic(), done
        self._last = done
        share, passed_s = done - self._start_done, time.monotonic() - self._start_s
        if share < _LEAST_SHARE or passed_s < 1.0:
            return ""
        left_s = passed_s * (1 - min(done, 1.0)) / share
        return (
            f", about {left_s:.0f} s left"
            if left_s < _MINUTES_FROM_S
            else f", about {left_s / 60:.0f} min left"
        )


@contextmanager
def progress() -> Iterator[Bars]:
    """Progress bars on stderr while it is a terminal; nothing but lines of the log otherwise."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        yield Bars(bars)


def parse_settings(texts: list[str]) -> dict[str, str]:
    """``key=value`` texts as a dictionary; raises ConfigError for anything else."""
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {text!r} is not of the form key=value")
        settings[key.strip()] = value.strip()
    return settings
