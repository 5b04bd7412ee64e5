"""Independent pieces of work side by side on the cores of a CPU.

The parts of a small transform are too short to be shared among cores: starting and joining the threads takes
as long. Whole frames are not.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")


def side_by_side(work: Callable[[slice], Result], length: int, device: torch.device) -> list[Result]:
    """Results of ``work`` on parts of ``range(length)``, in order; one part a thread, one part on a GPU.

    Each part runs with one thread of Torch, and with the gradient mode of the caller.
    """
    n_threads = min(torch.get_num_threads(), length) if device.type == "cpu" else 1
    if n_threads < 2:
        return [work(slice(0, length))]
    has_gradients = torch.is_grad_enabled()

    def part(index: int) -> Result:
        with torch.set_grad_enabled(has_gradients):
            return work(slice(length * index // n_threads, length * (index + 1) // n_threads))

    return list(_workers(torch.get_num_threads()).map(part, range(n_threads)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Small work in the caller's thread alone.

    Torch and FINUFFT each wake threads of their own for every operation. Where these have to wait for a core,
    because another library's or another scan's threads are on it, all of a small operation waits for them: on
    two busy cores the image of one frame took 27 ms of one thread, and 680 ms of two threads a library.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def calm_blas() -> None:
    """From now on, NumPy's matrix products, which are small here, take one thread each in this process."""
    import threadpoolctl  # type: ignore[import-untyped]

    threadpoolctl.threadpool_limits(1, user_api="blas")


@functools.cache
def _workers(n_threads: int) -> ThreadPoolExecutor:
    """Threads in which Torch has one thread each; in the caller's it keeps its number."""
    pool = ThreadPoolExecutor(n_threads, "recon", initializer=_use_one_thread)
    wait([pool.submit(time.sleep, 0.01) for _ in range(n_threads)])
    torch.set_num_threads(n_threads)
    return pool


def _use_one_thread() -> None:
    torch.get_num_threads()  # sets this thread up, which would undo the next line later
    torch.set_num_threads(1)
