"""One scan over one wire, for gadgets that Gadgetron starts and for servers of our own."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

_log = logging.getLogger(__name__)


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
    with reported(wire) as items:
        config = load_config(properties_of(configuration), parameters or {})
        validate(config)
        wire.set_max_idle(config.max_idle_seconds)
        _run(wire, ReadoutStream(items, header), config, stage)


@contextmanager
def reported(wire: Wire) -> Iterator[Prefetch]:
    """The items of a wire; an error of the block is sent to the client, then the wire is drained."""
    with Prefetch(wire) as items:
        try:
            yield items
        except ReconError as error:
            _log.error("%s", error)
            _report(wire, str(error))
        except Exception as error:
            _log.exception("unforeseen failure")
            _report(wire, f"unforeseen failure: {type(error).__name__}: {error}; the log holds the details")


def _report(wire: Wire, text: str) -> None:
    try:
        wire.send_error(text)
    except StreamError as error:
        _log.warning("the error did not reach the client: %s", error)


def _run(wire: Wire, stream: ReadoutStream, config: Config, stage: Stage) -> None:
    started, n_sent = time.monotonic(), 0
    for item in stage(stream, config):
        wire.send(item)
        n_sent += 1
    if n_sent == 0:
        raise DataError(
            f"{stream.n_readouts} readouts came, but too few of any slice to make a frame; "
            "binning.spokes_per_frame and binning.minimum_fraction decide how many it takes"
        )
    _log.info(
        "measurement %s: %d readouts received, %d items sent in %.2f s, peak memory %.0f MiB",
        stream.scan.measurement_id or "without id",
        stream.n_readouts,
        n_sent,
        time.monotonic() - started,
        _peak_memory_mib(),
    )


def _peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
