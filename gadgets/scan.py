"""One scan over one wire, for gadgets that Gadgetron starts and for servers of our own."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import ismrmrd

from gadgets.capture.recorder import Capture, settings_from_environment
from gadgets.replay.properties import properties_of
from gadgets.stage import Stage, images
from gadgets.translate.readouts import ReadoutStream
from gadgets.version import plugin_version
from gadgets.watching import watched
from gadgets.wire.prefetch import Prefetch
from gadgets.wire.wire import Wire
from python_recon.config import Config, load_config
from python_recon.data import PREVIEW_SERIES, SERIES_OF_A_RUN
from python_recon.errors import DataError, ReconError, StreamError
from python_recon.methods.registry import validate
from python_recon.resources.memory import host_limit
from python_recon.resources.scan_context import PREVIEW_SKIPPED, measured, remarking, tallied, timed
from python_recon.resources.usage import peak_memory

_STAGES = ("receiving", "waiting", "previews", "preparation", "coil maps", "method", "sending")
"""In the order in which they begin; they overlap."""
_TELLING = ("python_recon.acquisition", "python_recon.coil_maps", "gadgets.wire.header", "gadgets.translate")
"""Whose warnings are about the data: the images tell them, too."""
_log = logging.getLogger(__name__)


@dataclass
class ScanRecord:
    """What became of a scan, filled in while it runs."""

    measurement_id: str = ""
    n_readouts: int = 0
    n_sent: int = 0
    """Items, images as a rule."""
    rung: str = ""
    """What made the last image; where it is not the method that was asked for, that is told, too."""
    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many were sent, by the method that made them and the one that was asked for."""
    failure: str = ""
    """Class of the error that the client was told of; empty where there was none."""
    reason: str = ""
    """What the client was told of it."""
    total_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage; ``waiting`` is for the device, while others had it."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was told to :func:`~python_recon.resources.scan_context.tally`."""
    latency_s: float | None = None
    """From the end of the stream to the last item sent."""
    peak_memory_mib: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """One line that tells it all."""
        latency = "" if self.latency_s is None else f", {self.latency_s:.2f} s after the last readout"
        stages = ", ".join(
            f"{stage} {self.seconds[stage]:.2f} s" for stage in _STAGES if stage in self.seconds
        )
        return (
            f"measurement {self.measurement_id or 'without id'}: {self.n_readouts} readouts received, "
            f"{self.n_sent} items sent in {self.total_s:.2f} s ({stages or 'nothing begun'}){latency}, "
            f"method {self.rung or 'none'}, peak memory {self.peak_memory_mib:.0f} MiB, "
            f"gadgetron-pisco {plugin_version()}" + (f", failed: {self.failure}" if self.failure else "")
        )

    @property
    def n_skipped_previews(self) -> int:
        """Previews that were left out to keep up with the scan."""
        return self.counts[PREVIEW_SKIPPED]

    def figures(self) -> Mapping[str, Any]:
        """The same for machines."""
        return {
            "readouts": self.n_readouts,
            "frames": self.images.total(),
            "previews_skipped": self.n_skipped_previews,
            "rung": self.rung,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "seconds_total": round(self.total_s, 3),
            "peak_memory_mib": round(self.peak_memory_mib),
            "failure": self.failure,
        }

    def add(self, item: Any, config: Config) -> None:
        """An item was sent."""
        self.n_sent += 1
        made = str(item.meta.get("method", "")) if isinstance(item, ismrmrd.Image) else ""
        if made:
            is_preview = item.image_series_index % SERIES_OF_A_RUN == PREVIEW_SERIES
            asked = config.preview if is_preview else config.method
            self.images[made, asked] += 1
            self.rung = made if made == asked else f"{made} in place of {asked}"


def serve_scan(
    wire: Wire,
    header: ismrmrd.xsd.ismrmrdHeader,
    configuration: Element | bytes | None,
    stage: Stage,
    parameters: dict[str, Any] | None = None,
) -> None:
    """Run a stage over a scan and send what comes out, or one error; the stream is received to its end.

    The CLOSE is left to the owner of the wire.

    Parameters
    ----------
    configuration
        The gadget's ``<configuration>``, parsed or not.
    parameters
        The scanner's parameters, which override it.
    """
    record = ScanRecord()
    with watched(), Capture(settings_from_environment()) as capture, reported(wire, record) as items:
        capture.attach(items, header)
        config = load_config(properties_of(configuration), parameters or {})
        validate(config)
        if stage is images:
            capture.keep_config(config)
        wire.set_max_idle(config.max_idle_seconds)
        run_stage(wire, items, header, config, stage, record)


@contextmanager
def reported(wire: Wire, record: ScanRecord) -> Iterator[Prefetch]:
    """The items of a wire; an error of the block is sent to the client, then the wire is drained.

    Either way the record is completed, and logged as one line, before that.
    """
    with (
        Prefetch(wire) as items,
        measured() as record.seconds,
        tallied() as record.counts,
        remarking(*_TELLING),
    ):
        try:
            yield items
        except ReconError as error:
            _log.error("%s", error)
            _report(wire, str(error), record, error)
        except Exception as error:
            _log.exception("unforeseen failure")
            text = f"unforeseen failure: {type(error).__name__}: {error}; the log holds the details"
            _report(wire, text, record, error)
        items.backlog.limit_bytes = math.inf  # nobody takes, or keeps, what may still come
        record.total_s = time.monotonic() - record.started
        record.peak_memory_mib = peak_memory("cpu")["peak_memory_mib"]
        _log.info("%s", record, extra={"scan": record.figures()})


def _report(wire: Wire, text: str, record: ScanRecord, error: Exception) -> None:
    record.reason = text
    record.failure = type(error).__name__ if isinstance(error, ReconError) else "unforeseen"
    try:
        wire.send_error(text)
    except StreamError as failure:
        _log.warning("the error did not reach the client: %s", failure)


def run_stage(
    wire: Wire,
    items: Prefetch,
    header: ismrmrd.xsd.ismrmrdHeader,
    config: Config,
    stage: Stage,
    record: ScanRecord,
) -> None:
    """Send what a stage makes of the items, and keep the record.

    Raises
    ------
    ReconError
        Whatever keeps the scan from being reconstructed.
    """
    items.limit(host_limit(config))
    stream = ReadoutStream(items, header, items.backlog)
    record.measurement_id = stream.scan.measurement_id
    try:
        for item in stage(stream, config):
            with timed("sending"):
                wire.send(item)
            record.add(item, config)
    except DataError as error:
        if items.pause is None:
            raise
        raise StreamError(f"{items.pause}; what came until then made no more images: {error}") from error
    finally:
        record.n_readouts = stream.n_readouts
        record.seconds["receiving"] = (items.ended_at or time.monotonic()) - record.started
    if items.pause is not None:
        raise StreamError(f"{items.pause}; the images are those of what came until then")
    if record.n_sent == 0:
        raise DataError(
            f"{stream.n_readouts} readouts came, but too few of any slice to make a frame; "
            "binning.spokes_per_frame and binning.minimum_fraction decide how many it takes"
        )
    if items.ended_at is not None:
        record.latency_s = max(time.monotonic() - items.ended_at, 0.0)
