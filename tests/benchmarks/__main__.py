"""Run the benchmarks: ``python -m tests.benchmarks [name ...] [--seconds 60]``."""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
import warnings

import torch
from rich.console import Console

from tests.benchmarks import THREADS
from tests.benchmarks.machine import Machine
from tests.benchmarks.table import Reporter

BENCHMARKS = (
    "nufft",
    "cg_sense",
    "series",
    "coil_maps",
    "preview",
    "volumes",
    "neural",
    "reproducibility",
    "load",
    "soak",
)
_WIDTH = 130
"""Of the tables in a file."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="for the rounds of one race; 0: one round"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # the peers use what is deprecated
    # An orderly end, so that BART's files leave the memory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    torch.set_num_threads(THREADS)
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    machine = Machine()
    reporter = Reporter(console, machine, arguments.seconds)
    for line in machine.lines():
        reporter.say(line)
    reporter.say(
        "Medians of rounds in shuffled order after one warm-up; 'x ours' is the median ratio to our time in "
        "the same round; CPU counts all threads; 'own' is what a command reports of itself, reading and "
        "writing left out. Peak MiB: growth of this process in the warm-up (compilation included), the whole "
        "process for BART.\n"
    )
    for name in arguments.names or BENCHMARKS:
        importlib.import_module(f"tests.benchmarks.{name}").run(reporter)
    met = sum(target.is_met for target in reporter.targets)
    reporter.say(f"{met} of {len(reporter.targets)} targets met")


if __name__ == "__main__":
    main()
