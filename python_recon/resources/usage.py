"""What a piece of work takes: time and memory."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil

Result = TypeVar("Result")

_SAMPLE_EVERY_S = 0.005


@dataclass(frozen=True)
class Usage:
    """Time and memory of one run."""

    seconds: float
    peak_memory_mb: float
    """Growth of the process's resident memory over what it held at the start, MiB."""
    peak_device_mb: float
    """Growth of what is in use on the CUDA device, MiB; 0 without one."""


def measure(work: Callable[[], Result]) -> tuple[Result, Usage]:
    """Run ``work`` and tell what it took; its exceptions pass through.

    Memory is sampled every 5 ms, so a peak that is shorter may be missed.
    """
    give_memory_back()
    with _PeakMemory() as peak:
        started = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - started
    memory_mb, device_mb = (growth / 2**20 for growth in peak.growth)
    return result, Usage(seconds, memory_mb, device_mb)


def peak_memory(device: str) -> dict[str, float]:
    """The most memory that this process has held so far: ``peak_memory_mib``, on CUDA ``peak_device_mib``."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10 if sys.platform == "darwin" else 1)
    peaks = {"peak_memory_mib": kib / 1024}
    if device == "cuda":
        import torch

        peaks["peak_device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return peaks


class _PeakMemory:
    """Watches the memory of this process and of its device from a thread."""

    def __enter__(self) -> _PeakMemory:
        self._process = psutil.Process()
        self._start = self._peak = self._used()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def growth(self) -> tuple[int, ...]:
        return tuple(peak - start for peak, start in zip(self._peak, self._start, strict=True))

    def _watch(self) -> None:
        finished = False
        while not finished:
            self._peak = tuple(map(max, self._peak, self._used()))
            finished = self._done.wait(_SAMPLE_EVERY_S)

    def _used(self) -> tuple[int, ...]:
        return self._process.memory_info().rss, _device_bytes_in_use()


def _device_bytes_in_use() -> int:
    import torch

    if not torch.cuda.is_available():
        return 0
    # Asked of the device, because not only Torch takes memory there.
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


_givers: list[Callable[[], None]] = []


def gives_back(giver: Callable[[], None]) -> None:
    """Let :func:`give_memory_back` call a function that lets go of what is kept only to be quick."""
    _givers.append(giver)


def give_memory_back() -> None:
    """Return freed memory to the system and to the GPU: others, and other libraries, may need it."""
    import torch

    for give in _givers:
        give()
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)
    if torch.cuda.is_available():
        torch.backends.cuda.cufft_plan_cache.clear()
        torch.cuda.empty_cache()
    if "cupy" in sys.modules:
        sys.modules["cupy"].get_default_memory_pool().free_all_blocks()
