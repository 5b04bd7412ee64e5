"""Where the command line writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from python_recon.errors import ConfigError
from python_recon.resources.schedule import ProgressReport

output = Console()
errors = Console(stderr=True)


class ConsoleHandler(logging.Handler):
    """Logs to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[ProgressReport]:
    """A progress bar on stderr while it is a terminal; nothing otherwise."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)

        def report(stage: str, done: float) -> None:
            bar.update(task, description=stage, completed=done)

        yield report


def parse_settings(texts: list[str]) -> dict[str, str]:
    """``key=value`` texts as a dictionary; raises ConfigError for anything else."""
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {text!r} is not of the form key=value")
        settings[key.strip()] = value.strip()
    return settings
