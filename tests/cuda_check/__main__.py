"""Run all checks, or those with a word in their name: ``python -m tests.cuda_check [word ...]``."""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import torch

from tests.cuda_check import agreement, fits, report, service, speed
from tests.cuda_check.running import Check, Outcome, run_all
from tests.cuda_check.setting import Setting
from tests.cuda_check.versions import versions

_PARTS = (agreement, fits, service, speed)


def main() -> int:
    """The number of failures is not 0: 1; a machine without CUDA has none."""
    arguments = _arguments()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(f"Torch {torch.__version__} finds no CUDA device: 0 tests")
        return 0
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(arguments.device, Path(scratch))
        conditions = {"date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}", **versions(setting)}
        for name, value in conditions.items():
            print(f"{name}: {value}", flush=True)
        checks = [check for part in _PARTS for check in part.checks(setting)]
        checks = [check for check in checks if _is_wanted(check, arguments.words)]
        tell = functools.partial(_tell, arguments.out, conditions)
        outcomes = run_all(checks, 60 * arguments.minutes, tell)
        conditions |= {f"{name}, GFLOP/s": round(rate) for name, rate in speed.rates(setting).items()}
        report.write(arguments.out, conditions, outcomes)
    print(report.count(outcomes), f"; {arguments.out}/report.md", sep="")
    return int(any(outcome.status == "failed" for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cuda_check", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="word", help="checks with one of them in part or name")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything together")
    parser.add_argument("--out", type=Path, default=Path("cuda_check"), help="folder of the reports")
    return parser.parse_args()


def _is_wanted(check: Check, words: list[str]) -> bool:
    return not words or any(word in f"{check.part} {check.name}" for word in words)


def _tell(folder: Path, conditions: dict[str, str], outcomes: list[Outcome]) -> None:
    print(outcomes[-1], flush=True)
    report.write(folder, conditions, outcomes)


if __name__ == "__main__":
    sys.exit(main())
