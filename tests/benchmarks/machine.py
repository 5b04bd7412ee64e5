"""What this machine is and what it can do: the ground under every floor."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

import torch

from python_recon.resources.device import processor_name
from tests.benchmarks import THREADS, bart
from tests.benchmarks.scene import MATRIX

_LIBRARIES = ("numpy", "torch", "finufft", "sigpy", "torchkbnufft", "mri-nufft", "gadgetron-pisco")
_REPEATS = 9


@dataclass(frozen=True)
class Floor:
    """The least work that a method can be done with."""

    fft_flop: float = 0.0
    other_flop: float = 0.0
    moved_bytes: float = 0.0

    def __add__(self, other: Floor) -> Floor:
        return Floor(
            self.fft_flop + other.fft_flop,
            self.other_flop + other.other_flop,
            self.moved_bytes + other.moved_bytes,
        )

    def __mul__(self, times: float) -> Floor:
        return Floor(self.fft_flop * times, self.other_flop * times, self.moved_bytes * times)


class Machine:
    """Rates that are measured once, in this process and with its threads."""

    @cached_property
    def fft_flops(self) -> float:
        """Operations (5 n log2 n) a second of FFTs of twice the matrix, the best over batches."""
        return max(self._fft_rate(rows) for rows in (64, 128, 256, 512))

    @cached_property
    def flops(self) -> float:
        """Operations a second of a matrix product."""
        a = torch.rand(1024, 1024)
        return 2 * 1024**3 / _best(lambda: a @ a)

    @cached_property
    def bytes_per_s(self) -> float:
        """Bytes read and written a second by a copy that no cache holds."""
        source = torch.rand(1 << 25)
        target = torch.empty_like(source)
        return 2 * source.nbytes / _best(lambda: target.copy_(source))

    def floor_s(self, floor: Floor) -> float:
        """Seconds that the arithmetic takes, or the memory traffic if that is longer."""
        arithmetic = floor.fft_flop / self.fft_flops + floor.other_flop / self.flops
        return max(arithmetic, floor.moved_bytes / self.bytes_per_s)

    def lines(self) -> list[str]:
        """The conditions of the measurement."""
        versions = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
        return [
            f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}, {processor_name()}, {os.cpu_count()} cores, "
            f"{THREADS} threads for everybody, load before the start {os.getloadavg()[0]:.1f}",
            f"Python {platform.python_version()}, {versions}, {bart.version()}",
            f"rates: FFT {self.fft_flops / 1e9:.0f} GFLOP/s (length {2 * MATRIX}, complex64), matrix product "
            f"{self.flops / 1e9:.0f} GFLOP/s, copy {self.bytes_per_s / 1e9:.0f} GB/s",
        ]

    def _fft_rate(self, rows: int) -> float:
        signals = torch.randn(rows, 2 * MATRIX, dtype=torch.complex64)
        return fft_flop(2 * MATRIX) * rows / _best(lambda: torch.fft.fft(signals))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def fft_flop(length: int) -> float:
    """Operations of one FFT, by the usual count."""
    return 5 * length * math.log2(length)


def _best(work: Callable[[], object]) -> float:
    """Shortest time, seconds; the work is repeated until it lasts a millisecond."""
    work()
    times = []
    for _ in range(_REPEATS):
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 1e-3:
            work()
            count += 1
        times.append((time.perf_counter() - started) / count)
    return min(times)
