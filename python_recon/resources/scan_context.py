"""What accompanies the work on a scan and changes none of its results.

Names for the lines of the log, the seconds that each stage took, how often something was left out, what was
warned of, who watches, and turns at a device that other processes use, too. All are context variables:
generators see those of their caller; a thread sees those of ``contextvars.copy_context()`` where it is run by
that.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypeAlias

from python_recon.resources.schedule import Budget, ProgressReport, silent

Turn: TypeAlias = Callable[[Budget], AbstractContextManager[None]]
"""Waits for the device and holds it for the length of a context. May be entered again, and from several
threads, while it is held. Raises where the budget is spent before, or the scan has lost its point."""


def _at_once(_budget: Budget) -> AbstractContextManager[None]:
    return nullcontext()


PREVIEW_SKIPPED = "preview skipped"
"""Told to :func:`tally`: a frame was too late for its preview."""

_MOST_REMARKS, _LONGEST_REMARK = 8, 300

_labels: ContextVar[Mapping[str, str]] = ContextVar("labels", default=MappingProxyType({}))
_seconds: ContextVar[dict[str, float] | None] = ContextVar("seconds", default=None)
_counts: ContextVar[Counter[str] | None] = ContextVar("counts", default=None)
_remarks: ContextVar[_Remarks | None] = ContextVar("remarks", default=None)
_watch: ContextVar[ProgressReport] = ContextVar("watch", default=silent)
_turn: ContextVar[Turn] = ContextVar("turn", default=_at_once)


@contextmanager
def working_on(**labels: str) -> Iterator[None]:
    """What the work within the block is on: ``slice`` and ``method``."""
    token = _labels.set({**_labels.get(), **labels})
    try:
        yield
    finally:
        _labels.reset(token)


def present_work() -> Mapping[str, str]:
    """What was said by :func:`working_on`."""
    return _labels.get()


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds of every stage that is :func:`timed` within the block, by name."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """The block belongs to a stage. Stages of several threads may overlap, each stage is of one thread."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = _seconds.get()
        if seconds is not None:
            seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - started


@contextmanager
def tallied() -> Iterator[Counter[str]]:
    """How often what is passed to :func:`tally` happened within the block."""
    counts: Counter[str] = Counter()
    token = _counts.set(counts)
    try:
        yield counts
    finally:
        _counts.reset(token)


def tally(event: str) -> None:
    """Something happened that whoever runs the scan will want to know; counted by one thread only."""
    counts = _counts.get()
    if counts is not None:
        counts[event] += 1


class _Remarks(logging.Handler):
    """Keeps the first warning of each kind that comes from its own context."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if _remarks.get() is self and len(self.texts) < _MOST_REMARKS:
            self.texts.setdefault(str(record.msg), record.getMessage()[:_LONGEST_REMARK])


@contextmanager
def remarking(*loggers: str) -> Iterator[None]:
    """What these loggers, and those below them, warn of within the block is for the images to say, too."""
    handler = _Remarks()
    token = _remarks.set(handler)
    for name in loggers:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in loggers:
            logging.getLogger(name).removeHandler(handler)
        _remarks.reset(token)


def with_remarks(comment: str) -> str:
    """The comment, and after it what was warned of so far within :func:`remarking`, each thing once."""
    handler, told = _remarks.get(), [part for part in comment.split("; ") if part]
    texts = list(handler.texts.values()) if handler is not None else []
    new = [text for text in texts if not any(part in text for part in told)]
    return "; ".join([*told, *new])


@contextmanager
def watched_by(report: ProgressReport) -> Iterator[None]:
    """Who runs the scan wants to see how far the fits within the block are."""
    token = _watch.set(report)
    try:
        yield
    finally:
        _watch.reset(token)


def progress_of_fits() -> ProgressReport:
    """What was given to :func:`watched_by`."""
    return _watch.get()


@contextmanager
def sharing_device(turn: Turn) -> Iterator[None]:
    """Fits within the block take turns at the device with those of other processes."""
    token = _turn.set(turn)
    try:
        yield
    finally:
        _turn.reset(token)


def device_turn(budget: Budget) -> AbstractContextManager[None]:
    """The device for a fit; at once where nobody shares it."""
    return _turn.get()(budget)
