"""Replays a scan through gadgets or a server and keeps the images that come back."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import ismrmrd

from gadgets.wire.header import header_text
from gadgets.wire.messages import Text
from gadgets.wire.pump import Peer, exchange
from gadgets.wire.wire import Item, Session, Wire
from python_recon.data import PREVIEW_SERIES, SERIES_OF_A_RUN
from python_recon.errors import ReconError, StreamError
from python_recon.resources.schedule import ProgressReport

_REPORT_EVERY = 16
_LOOK = (
    "the gadget may not have started, or have been ended: the server's log tells, and `gadgetron-pisco "
    "doctor --gadgetron`, run as the server is (its user, its PATH), starts the gadget as the server would"
)
_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where a scan comes from."""

    @property
    def header(self) -> ismrmrd.xsd.ismrmrdHeader: ...

    @property
    def header_xml(self) -> str: ...

    @property
    def n_items(self) -> int | None:
        """How many items there will be; None where nobody knows."""

    def items(self) -> Iterator[Item]:
        """The scan's items in order."""

    def stop(self) -> None:
        """End :meth:`items`, even while it waits."""


class PipeSource:
    """A scan that a wire brings: configuration (if any), header, items, CLOSE.

    Raises
    ------
    StreamError
        When the stream does not start as a scan does.
    """

    n_items: int | None = None

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.session: Session = wire.receive_session()
        self.header = self.session.header

    @property
    def header_xml(self) -> str:
        return header_text(self.header)

    def items(self) -> Iterator[Item]:
        return iter(self._wire)

    def stop(self) -> None:
        self._wire.abort()


@dataclass
class Outcome:
    """What a replay gave."""

    started: float = field(default_factory=time.monotonic)
    n_sent: int = 0
    n_images: int = 0
    seconds: float = 0.0
    first_image_s: float | None = None
    """From the start to the first image."""
    series: set[int] = field(default_factory=set)
    """Those of the images, as numbered in the first run of frames."""
    others: Counter[str] = field(default_factory=Counter)
    """What else came back, by kind."""
    said: list[str] = field(default_factory=list)
    """Texts since the last image."""
    sent_s: float | None = None
    """From the start to the last item of the scan."""
    error: ReconError | None = None
    """What ended the replay early, or left it without images."""

    @property
    def passed_s(self) -> float:
        """From the start until now."""
        return time.monotonic() - self.started

    @property
    def milestones(self) -> dict[str, float]:
        """Seconds from the start, by what was reached then."""
        reached = {"first image": self.first_image_s, "scan sent": self.sent_s, "last image": self.seconds}
        return {name: seconds for name, seconds in reached.items() if seconds is not None}


def replay(
    source: Source,
    peers: Sequence[Peer],
    keep: Callable[[ismrmrd.Image], None],
    idle_s: float,
    report: ProgressReport,
    promised: Mapping[int, str] = MappingProxyType({}),
) -> Outcome:
    """Send a scan through ``peers`` and hand every image that comes back to ``keep``.

    Errors of the gadgets and of the stream end up in the outcome: the images that came before are good.

    Parameters
    ----------
    promised
        Series that have to come, and the method of each: a gadget that a server lost tells nothing.
    """
    outcome = Outcome()
    try:
        for item in exchange(peers, _counted(source, outcome, report), idle_s, source.stop):
            if isinstance(item, ismrmrd.Image):
                outcome.first_image_s = outcome.first_image_s or outcome.passed_s
                keep(item)
                outcome.n_images += 1
                outcome.series.add(item.image_series_index % SERIES_OF_A_RUN)
                outcome.said.clear()
                report(*_progress(source, outcome))
            elif isinstance(item, Text):
                _log.info("%s says: %s", peers[-1].name, item)
                outcome.said.append(item)
            else:
                outcome.others[type(item).__name__] += 1
        if trouble := _what_lacks(outcome, promised):
            raise StreamError(
                ". ".join([trouble, *(f"The last it said: {text}" for text in outcome.said[-1:])])
            )
    except ReconError as error:
        outcome.error = error
    outcome.seconds = outcome.passed_s
    return outcome


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """The warnings that are logged within the block, each once."""
    collector = _Collector(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield collector.texts
    finally:
        root.removeHandler(collector)


class _Collector(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)


def _counted(source: Source, outcome: Outcome, report: ProgressReport) -> Iterator[Item]:
    for item in source.items():
        yield item
        outcome.n_sent += 1
        if outcome.n_sent % _REPORT_EVERY == 0:
            report(*_progress(source, outcome))
    outcome.sent_s = outcome.passed_s
    report(*_progress(source, outcome))


def _progress(source: Source, outcome: Outcome) -> tuple[str, float]:
    total = source.n_items
    sent = f"{outcome.n_sent} of {total}" if total else str(outcome.n_sent)
    return f"{sent} sent, {outcome.n_images} images back", outcome.n_sent / total if total else 0.0


def _what_lacks(outcome: Outcome, promised: Mapping[int, str]) -> str:
    """What a scan that ended without an error should have brought; empty where it has.

    Where images are of other series than ours, the server's configuration of that name is another one.
    """
    if outcome.n_images:
        missing = [f"{method} (series {index})" for index, method in promised.items()]
        if not missing or outcome.series != {PREVIEW_SERIES} or PREVIEW_SERIES in promised:
            return ""
        came = f"{outcome.n_images} images came back and no error, but none of "
        return f"{came}{', '.join(missing)}, which the configuration asks for; {_LOOK}"
    if not outcome.others:
        return (
            "no images came back, and no error; does the configuration reconstruct this kind of scan? If so, "
            f"{_LOOK}"
        )
    found = ", ".join(f"{count} {kind}" for kind, count in outcome.others.items())
    return f"no images came back, but {found}; the configuration lacks the gadget that makes the images"
