"""Independent pieces of work side by side on the cores of a CPU.

The parts of a small transform are too short to be shared among cores: starting and joining the threads takes
as long. Whole frames are not.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
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
