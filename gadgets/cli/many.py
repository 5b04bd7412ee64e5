"""``replay`` of many scans: progress, a line for each, a table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gadgets.console import errors, output
from gadgets.replay.job import Job
from gadgets.replay.views import Views

if TYPE_CHECKING:
    from gadgets.many.batch import Batch, Line, Runner
    from gadgets.many.plan import Entry
    from gadgets.many.task import Result, Task

_ENDLESS = output.options.update(max_width=100_000)
_STYLES = {"done": "green", "skipped": "", "failed": "red"}


@dataclass(frozen=True)
class Workforce:
    """Who does the work."""

    workers: int | None = None
    """Scans or slices at a time on this machine."""
    scheduler: str | None = None
    """Address of a Dask scheduler."""
    splits_slices: bool = False
    """Whether the slices of a scan are spread, too."""

    @property
    def is_wanted(self) -> bool:
        """Whether any of it was asked for."""
        return self != Workforce()


def replay_many(template: Job, entries: Sequence[Entry], views: Views, workforce: Workforce) -> None:
    """Replay all scans that are not done yet; exits with status 1 where one failed.

    Raises
    ------
    ConfigError
        Before anything is done, where the configuration is wrong.
    """
    from gadgets.many.batch import Batch

    batch = Batch(template, entries, views, splits=workforce.splits_slices)
    lines = {line.entry: line for line in _shown(batch, _runner(workforce, template), len(entries))}
    _print([lines[entry] for entry in entries])
    if any(line.outcome == "failed" for line in lines.values()):
        raise typer.Exit(1)


def _runner(workforce: Workforce, template: Job) -> Runner:
    from gadgets.many.cluster import run_on_cluster
    from gadgets.many.local import run_local
    from gadgets.many.settings import device_of

    if workforce.scheduler is not None:
        return partial(run_on_cluster, scheduler=workforce.scheduler, device=device_of(template))
    n_workers = workforce.workers or 1
    return partial(run_local, n_workers=n_workers, may_use_gpu=device_of(template) != "cpu")


def _shown(batch: Batch, runner: Runner, n_scans: int) -> Iterator[Line]:
    """The lines of a batch, each told when it comes, below them a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        scans = bar.add_task("scans", total=n_scans)
        work = bar.add_task("to compute", total=None)

        def counted(tasks: Sequence[Task]) -> Iterable[tuple[Task, Result]]:
            bar.update(work, total=len(tasks))
            for done in runner(tasks):
                bar.advance(work)
                yield done

        for line in batch.lines(counted):
            bar.advance(scans)
            text = f"{line.entry.name}: {line.outcome}, {line.n_images} images"
            text += f" ({line.note})" if line.note else ""
            errors.print(text, markup=False, highlight=False, soft_wrap=True)
            yield line


def _print(lines: Sequence[Line]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("scan", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    for title in ("images", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("images in / reason", overflow="fold")
    for line in lines:
        seconds = f"{line.seconds:.1f}" if line.seconds else ""
        outcome = Text(line.outcome, _STYLES[line.outcome])
        where = line.note if line.outcome == "failed" else str(line.entry.output)
        table.add_row(Text(line.entry.name), outcome, str(line.n_images), seconds, Text(where))
    # A path that is cut short cannot be copied: without a terminal, lines are as long as they need to be.
    width = output.width if output.is_terminal else Measurement.get(output, _ENDLESS, table).maximum
    Console(width=max(width, 1)).print(table)
    counts: Counter[str] = Counter(line.outcome for line in lines)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _STYLES if counts[outcome])
    output.print(f"{len(lines)} scans: {summary}", markup=False, highlight=False)
