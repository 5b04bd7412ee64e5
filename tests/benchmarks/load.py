"""What the daemon sustains: readouts a second, and how soon the first preview comes, over real sockets.

Clients send as fast as the daemon takes, faster than any scanner. A preview's time counts from when the last
readout of its frame was sent.
"""

from __future__ import annotations

import struct
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.files.mrd_file import ScanFile
from gadgets.simulation.scan import SimulateOptions, simulate
from tests.benchmarks.table import Reporter
from tests.serving import Client, DaemonProcess, Outcome, daemon_process

N_COILS, MATRIX, N_SPOKES = 12, 128, 34
LONG, SHORT = 40, 3
"""Frames of a scan: to see what is sustained, and how the first preview comes."""
N_SHORT = 100
"""Short scans of all clients together, if time allows."""
CONFIG = f"""<configuration><property name="method" value="gridding"/>
<property name="binning.spokes_per_frame" value="{N_SPOKES}"/></configuration>"""


@dataclass(frozen=True)
class SimulatedScan:
    """The messages of a scan."""

    header_xml: str
    items: list[Any]

    def stream(self) -> list[bytes]:
        """The items up to the end of the first frame, and the rest with the CLOSE."""
        raw = [struct.pack("<H", 1008) + item.to_bytes() for item in self.items]
        return [b"".join(raw[:N_SPOKES]), b"".join(raw[N_SPOKES:]) + struct.pack("<H", 4)]


def simulated(path: Path, matrix: int = MATRIX, coils: int = N_COILS, frames: int = LONG) -> SimulatedScan:
    """A scan without noise readouts."""
    options = SimulateOptions(
        matrix=matrix, coils=coils, frames=frames, spokes_per_frame=N_SPOKES, noise_scan=False
    )
    simulate(path, options)
    with ScanFile(path) as file:
        return SimulatedScan(file.header_xml, list(file.acquisitions()))


@dataclass(frozen=True)
class Timing:
    """Of one scan, seconds."""

    first_preview_s: float
    total_s: float


def timed_scan(daemon: DaemonProcess, scan: SimulatedScan, stream: list[bytes]) -> Timing:
    """Send a scan and receive its images at the same time."""
    with Client(daemon.port) as client:
        started = time.monotonic()
        client.greet(scan, CONFIG)
        client.socket.sendall(stream[0])
        sent = time.monotonic()
        feeder = threading.Thread(target=client.socket.sendall, args=(stream[1],))
        feeder.start()
        outcome = Outcome()
        items = iter(client.wire)
        outcome.images.append(next(items))
        first = time.monotonic()
        outcome.images.extend(items)
        feeder.join()
    n_frames = len(scan.items) // N_SPOKES
    if len(outcome.images) != n_frames:
        raise RuntimeError(f"{n_frames} images were expected, {len(outcome.images)} came")
    return Timing(first - sent, time.monotonic() - started)


def from_clients(n_clients: int, work: Callable[[], list[Timing]]) -> tuple[list[Timing], float]:
    """What all clients measured at the same time, and how long they took together."""
    started = time.monotonic()
    with ThreadPoolExecutor(n_clients) as threads:
        futures = [threads.submit(work) for _ in range(n_clients)]
        timings = [timing for future in futures for timing in future.result()]
    return timings, time.monotonic() - started


def run(reporter: Reporter) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long = simulated(folder / "long.h5")
        short = SimulatedScan(long.header_xml, long.items[: SHORT * N_SPOKES])
        with daemon_process(folder) as daemon:
            timed_scan(daemon, short, short.stream())  # nobody is the first at a scanner, either
            for n_clients in (1, 4):
                _sustained(reporter, daemon, long, n_clients)
                _first_previews(reporter, daemon, short, n_clients)
            daemon.end()
    reporter.say("")


def _sustained(reporter: Reporter, daemon: DaemonProcess, scan: SimulatedScan, n_clients: int) -> None:
    stream = scan.stream()
    timings, spent_s = from_clients(n_clients, lambda: [timed_scan(daemon, scan, stream)])
    rate = len(timings) * len(scan.items) / spent_s
    mb_per_s = len(timings) * sum(map(len, stream)) / 1e6 / spent_s
    reporter.say(
        f"load, {n_clients} client(s): {rate:,.0f} readouts/s sustained ({mb_per_s:.0f} MB/s), all frames of "
        f"{N_SPOKES} spokes gridded at once; {N_COILS} coils, matrix {MATRIX}"
    )


def _first_previews(reporter: Reporter, daemon: DaemonProcess, scan: SimulatedScan, n_clients: int) -> None:
    stream, ends = scan.stream(), time.monotonic() + reporter.limit_s

    def many() -> list[Timing]:
        timings = [timed_scan(daemon, scan, stream)]
        while len(timings) < N_SHORT / n_clients and time.monotonic() < ends:
            timings.append(timed_scan(daemon, scan, stream))
        return timings

    timings, _ = from_clients(n_clients, many)
    times_s = [timing.first_preview_s for timing in timings]
    median, last = np.percentile(times_s, [50, 99])
    reporter.say(
        f"load, {n_clients} client(s): first preview after {1e3 * median:.0f} ms (median), {1e3 * last:.0f} "
        f"ms (99th percentile), {len(times_s)} scans without pause, the start of their processes included"
    )
