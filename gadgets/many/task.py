"""One piece of work: a scan, or a slice of one, reconstructed into a file of its own."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import h5py
from pydantic import TypeAdapter

from gadgets.many.record import Record, part_folder, publish
from gadgets.replay.job import Job, run
from python_recon.errors import ConfigError, ReconError

Kind = TypeVar("Kind")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What is to be done; small, so that it can be sent to another machine."""

    job: Job
    record: Record
    """What the output will say of itself."""

    @property
    def output(self) -> Path:
        if self.job.output is None:
            raise ConfigError("there is no place for the images: give -o")
        return self.job.output


@dataclass(frozen=True)
class Result:
    """What came of a task."""

    n_images: int = 0
    seconds: float = 0.0
    error: str = ""
    """Why images are missing; empty where none is."""


def to_json(item: Task | Result) -> str:
    """One line of text."""
    return TypeAdapter(type(item)).dump_json(item).decode()


def from_json(kind: type[Kind], text: str) -> Kind:
    """The task or result that :func:`to_json` wrote; raises pydantic's ValidationError for other text."""
    return TypeAdapter(kind).validate_json(text)


def perform(task: Task) -> Result:
    """Reconstruct; the output gets its name when it is whole, and says what it was made from.

    Images that came before an error are kept, in an output whose record names the error.
    """
    started, error = time.monotonic(), ""
    with part_folder(task.output) as folder:
        images = folder / "images.h5"
        try:
            run(replace(task.job, output=images))
        except ReconError as failure:
            error = str(failure)
            _log.error("%s", error)
        except Exception as failure:
            _log.exception("unforeseen failure")
            error = f"unforeseen failure: {type(failure).__name__}: {failure}"
        n_images = _count(images) if images.exists() else 0
        if n_images:
            publish(images, task.output, replace(task.record, n_images=n_images, error=error))
    return Result(n_images, time.monotonic() - started, error)


def _count(path: Path) -> int:
    with h5py.File(path, "r") as file:
        items = [item for group in file.values() for item in group.items()]
        return sum(len(item["data"]) for name, item in items if name.startswith("image_"))
