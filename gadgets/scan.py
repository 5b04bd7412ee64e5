"""One scan over one wire, for gadgets that Gadgetron starts and for servers of our own."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import ismrmrd

from gadgets.guard import Stage
from gadgets.properties import properties_of
from gadgets.readouts import ReadoutStream
from gadgets.wire import Prefetch, Wire
from python_recon.config import Config, load_config
from python_recon.errors import DataError, ReconError, StreamError
from python_recon.methods.registry import validate

_WORTH_TELLING_S = 0.05
_log = logging.getLogger(__name__)


@dataclass
class ScanRecord:
    """What became of a scan, filled in while it runs."""

    measurement_id: str = ""
    n_readouts: int = 0
    n_sent: int = 0
    """Items, images as a rule."""
    method: str = ""
    """What made the last image: the rung of the ladder."""
    failure: str = ""
    """Class of the error that the client was told of; empty where there was none."""
    total_s: float = 0.0
    waiting_s: float = 0.0
    """For the device, while others had it."""
    latency_s: float | None = None
    """From the end of the stream to the last item sent."""
    peak_memory_mib: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """One line that tells it all."""
        latency = "" if self.latency_s is None else f", {self.latency_s:.2f} s after the last readout"
        waiting = f", {self.waiting_s:.2f} s of it in the queue" if self.waiting_s >= _WORTH_TELLING_S else ""
        return (
            f"measurement {self.measurement_id or 'without id'}: {self.n_readouts} readouts received, "
            f"{self.n_sent} items sent in {self.total_s:.2f} s{waiting}{latency}, "
            f"method {self.method or 'none'}, peak memory {self.peak_memory_mib:.0f} MiB"
            + (f", failed: {self.failure}" if self.failure else "")
        )


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
    with reported(wire, record) as items:
        config = load_config(properties_of(configuration), parameters or {})
        validate(config)
        wire.set_max_idle(config.max_idle_seconds)
        run_stage(wire, items, header, config, stage, record)


@contextmanager
def reported(wire: Wire, record: ScanRecord) -> Iterator[Prefetch]:
    """The items of a wire; an error of the block is sent to the client, then the wire is drained.

    Either way the record is completed, and logged as one line, before that.
    """
    with Prefetch(wire) as items:
        try:
            yield items
        except ReconError as error:
            _log.error("%s", error)
            _report(wire, str(error), record, error)
        except Exception as error:
            _log.exception("unforeseen failure")
            text = f"unforeseen failure: {type(error).__name__}: {error}; the log holds the details"
            _report(wire, text, record, error)
        record.total_s = time.monotonic() - record.started
        record.peak_memory_mib = _peak_memory_mib()
        _log.info("%s", record)


def _report(wire: Wire, text: str, record: ScanRecord, error: Exception) -> None:
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
    stream = ReadoutStream(items, header)
    record.measurement_id = stream.scan.measurement_id
    try:
        for item in stage(stream, config):
            wire.send(item)
            record.n_sent += 1
            record.method = _method(item) or record.method
    finally:
        record.n_readouts = stream.n_readouts
    if record.n_sent == 0:
        raise DataError(
            f"{stream.n_readouts} readouts came, but too few of any slice to make a frame; "
            "binning.spokes_per_frame and binning.minimum_fraction decide how many it takes"
        )
    if items.ended_at is not None:
        record.latency_s = max(time.monotonic() - items.ended_at, 0.0)


def _method(item: Any) -> str:
    return str(item.meta.get("method", "")) if isinstance(item, ismrmrd.Image) else ""


def _peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
