"""Many scans: what is done is left alone, the rest is performed, slices are merged."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gadgets.files.slice_file import slice_numbers
from gadgets.many.merging import merge
from gadgets.many.plan import Entry
from gadgets.many.record import Record, digest, read_record, remove_parts
from gadgets.many.settings import is_configured, refuse_shared_files, slice_settings
from gadgets.many.showing import show_missing
from gadgets.many.task import Result, Task
from gadgets.replay.job import Job
from gadgets.replay.views import Views
from python_recon.errors import ConfigError, ReconError

_log = logging.getLogger(__name__)

Runner = Callable[[Sequence[Task]], Iterable[tuple[Task, Result]]]
"""Performs tasks and hands each back with its result when it has ended."""


@dataclass(frozen=True)
class Line:
    """What became of a scan."""

    entry: Entry
    outcome: Literal["done", "skipped", "failed"]
    n_images: int = 0
    seconds: float = 0.0
    """Of computing, all slices together."""
    note: str = ""
    """Why it failed or was done again."""


@dataclass
class _Work:
    """A scan under way."""

    entry: Entry
    job: Job
    record: Record
    tasks: list[Task] = field(default_factory=list)
    reason: str = ""
    """Why it is done again."""
    results: dict[Path, Result] = field(default_factory=dict)
    """By the outputs of the tasks."""

    @property
    def is_split(self) -> bool:
        return any(task.record.slice_number is not None for task in self.tasks)


class Batch:
    """Many scans with one configuration.

    An output is done when it is whole, lacks no image, and was made from the same scan, by the same
    configuration and version; its record says so. Any other that has a record is made anew, a file of other
    origin is left alone. What else is wanted of images that are done is made of them.

    Parameters
    ----------
    template
        The job of each scan, but for the scan and its places.
    entries
        The scans.
    views
        Folders for what is made of the images: each scan has a file or a folder of its own name in them.
    splits
        Whether slices are tasks of their own.

    Raises
    ------
    ConfigError
        Where the configuration is wrong, or the scans cannot be split.
    """

    def __init__(self, template: Job, entries: Sequence[Entry], views: Views, *, splits: bool) -> None:
        self._template = _anywhere(template)
        self._entries = entries
        self._views = views
        self._digest = digest(template) if is_configured(template) else None
        if len(entries) > 1:
            refuse_shared_files(template)
        self._slice_settings: Mapping[str, str] | None = slice_settings(template) if splits else None
        self._slice_digest = digest(self._slice_job(template)) if splits else ""

    def lines(self, runner: Runner) -> Iterator[Line]:
        """Do what is to be done, and tell what became of each scan as soon as that is known."""
        waiting: list[_Work] = []
        for entry in self._entries:
            begun = self._begin(entry)
            if isinstance(begun, Line):
                yield begun
            else:
                waiting.append(begun)
        owner = {task.output: work for work in waiting for task in work.tasks}
        for work in (work for work in waiting if len(work.results) == len(work.tasks)):
            yield self._finish(work)
        missing = [task for work in waiting for task in work.tasks if task.output not in work.results]
        for task, result in runner(missing):
            work = owner[task.output]
            work.results[task.output] = result
            if len(work.results) == len(work.tasks):
                yield self._finish(work)

    def _begin(self, entry: Entry) -> Line | _Work:
        try:
            job = self._job(entry)
            planned = Record.planned(job, self._digest or digest(job))
            found = self._reason_to_redo(entry.output, planned)
            if isinstance(found, Record):
                return Line(entry, "skipped", found.n_images, note=_note_of_done(show_missing(job)))
            remove_parts(entry.output)
            work = _Work(entry, job, planned, reason=found)
            self._add_tasks(work)
        except ReconError as error:
            return Line(entry, "failed", note=str(error))
        except OSError as error:
            return Line(entry, "failed", note=f"the scan cannot be read: {error}")
        except Exception as failure:  # whatever is wrong with this scan costs no other
            _log.debug("while looking at %s", entry.scan, exc_info=True)
            return Line(entry, "failed", note=f"the scan cannot be read: {failure!r}")
        return work

    def _reason_to_redo(self, output: Path, planned: Record) -> Record | str:
        """The record of an output that is done, or why it has to be done; empty where there is none."""
        if self._template.overwrite or not output.exists():
            return ""
        record = read_record(output)
        if record is None:
            raise ConfigError(f"the output {output} exists and is none of ours; remove it or say --overwrite")
        return record.reason_to_redo(planned) or record

    def _add_tasks(self, work: _Work) -> None:
        numbers = slice_numbers(work.entry.scan, work.job.group) if self._slice_settings is not None else []
        if len(numbers) < 2:
            work.tasks.append(Task(work.job, work.record))
            return
        for number in numbers:
            output = _slice_folder(work.entry) / f"slice_{number}.h5"
            job = replace(self._slice_job(work.job), slice_number=number, output=output)
            planned = Record.planned(job, self._slice_digest)
            work.tasks.append(Task(job, planned))
            found = self._slice_done(output, planned)
            if found is not None:
                work.results[output] = Result(found.n_images)

    def _slice_done(self, output: Path, planned: Record) -> Record | None:
        remove_parts(output)
        record = None if self._template.overwrite else read_record(output)
        return None if record is None or record.reason_to_redo(planned) else record

    def _slice_job(self, job: Job) -> Job:
        return replace(job, settings={**job.settings, **(self._slice_settings or {})}, views=Views())

    def _job(self, entry: Entry) -> Job:
        """The job of a scan; what was made of its images before is its own, and may be replaced."""
        views = _views_of(self._views, entry)
        scan, output = entry.scan.absolute(), entry.output.absolute()
        return replace(self._template, scan=scan, output=output, views=views, overwrite=True)

    def _finish(self, work: _Work) -> Line:
        seconds = sum(result.seconds for result in work.results.values())
        if not work.is_split:
            (result,) = work.results.values()
            return _line(work, result.n_images, seconds, result.error)
        errors = [
            f"slice {task.record.slice_number}: {work.results[task.output].error}"
            for task in work.tasks
            if work.results[task.output].error
        ]
        parts = [task.output for task in work.tasks if work.results[task.output].n_images]
        error = "; ".join(errors)
        try:
            n_images = merge(work.job, parts, replace(work.record, error=error)) if parts else 0
        except Exception as failure:  # whatever is wrong with this scan costs no other
            _log.debug("while merging", exc_info=True)
            return _line(work, 0, seconds, f"the slices cannot be merged: {failure!r}")
        if not error:
            shutil.rmtree(_slice_folder(work.entry), ignore_errors=True)
        return _line(work, n_images, seconds, error)


def _note_of_done(shown: Sequence[Path]) -> str:
    return "it is done" + (f"; made {', '.join(map(str, shown))}" if shown else "")


def _line(work: _Work, n_images: int, seconds: float, error: str) -> Line:
    if error:
        return Line(work.entry, "failed", n_images, seconds, error)
    return Line(work.entry, "done", n_images, seconds, work.reason and f"anew: {work.reason}")


def _anywhere(job: Job) -> Job:
    """The job with paths to its configuration that hold in any working folder."""
    config = job.config
    if config is not None and job.server is None and Path(config).is_file():
        config = str(Path(config).absolute())
    return replace(job, config=config, local_config=job.local_config and job.local_config.absolute())


def _views_of(folders: Views, entry: Entry) -> Views:
    """What is made of the images of one scan: a file or a folder of its name in each of the folders."""

    def place(folder: Path | None, suffix: str = "") -> Path | None:
        return folder and folder.absolute() / entry.folder / f"{entry.output.stem}{suffix}"

    return Views(
        preview=place(folders.preview),
        mp4=place(folders.mp4),
        dicom=place(folders.dicom),
        nifti=place(folders.nifti, ".nii.gz"),
        report=place(folders.report, ".html"),
    )


def _slice_folder(entry: Entry) -> Path:
    return entry.output.with_name(f".{entry.output.name}.slices")
