"""The daemon's memory over many short scans; every tenth client leaves within a message."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.benchmarks.load import simulated
from tests.benchmarks.table import Reporter, Target
from tests.serving import daemon_process, soak

N_SCANS, N_FIRST = 500, 50
GROWTH_LIMIT = 1.05


def run(reporter: Reporter) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = simulated(folder / "scan.h5", matrix=48, coils=4, frames=3)
        with daemon_process(folder) as daemon:
            started = time.monotonic()
            early, late = soak(daemon, [scan], N_FIRST, N_SCANS)
            spent_s = time.monotonic() - started
            daemon.end()
    reporter.say(
        f"soak: {N_SCANS} scans of {len(scan.items)} readouts in {spent_s:.0f} s; daemon, fork server and "
        f"warm worker hold {early:.1f} MiB after {N_FIRST} scans, {late:.1f} MiB after all"
    )
    reporter.judge([Target(f"memory after {N_SCANS} scans / after {N_FIRST}", late / early, GROWTH_LIMIT)])
