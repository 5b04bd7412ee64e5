"""Tasks side by side on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from gadgets.many.child import Child, share_of_cores
from gadgets.many.task import Result, Task


def run_local(tasks: Sequence[Task], n_workers: int, *, may_use_gpu: bool) -> Iterator[tuple[Task, Result]]:
    """Perform tasks, ``n_workers`` at a time, each in a process of its own with its share of the cores.

    Several GPUs are dealt out among the workers. When the caller stops early, the processes are ended.

    Yields
    ------
        Each task with its result, in the order in which they end.
    """
    crew = _Crew(n_workers, may_use_gpu=may_use_gpu)
    with ThreadPoolExecutor(n_workers, "task") as pool:
        futures = {pool.submit(crew.perform, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future)
        finally:
            for future in futures:
                future.cancel()
            crew.dismiss()


def _outcome(future: Future[Result]) -> Result:
    try:
        return future.result()
    except OSError as error:  # the process could not be started, or its log not be written
        return Result(error=f"the task could not be started: {error}")


class _Crew:
    """The workers: each has an environment, and performs one task at a time."""

    def __init__(self, n_workers: int, *, may_use_gpu: bool) -> None:
        self._environments: SimpleQueue[dict[str, str]] = SimpleQueue()
        self._running: set[Child] = set()
        self._is_over = False
        gpus = _gpus() if may_use_gpu and n_workers > 1 else []
        for number in range(n_workers):
            gpu = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
            self._environments.put(_threads(n_workers) | gpu)

    def perform(self, task: Task) -> Result:
        environment = self._environments.get()
        try:
            child = Child(task, environment)
            self._running.add(child)
            if self._is_over:
                child.stop()
            try:
                return child.result()
            finally:
                self._running.discard(child)
                child.close()
        finally:
            self._environments.put(environment)

    def dismiss(self) -> None:
        """End what is running."""
        self._is_over = True
        running = list(self._running)
        for child in running:
            child.ask_to_end()
        for child in running:
            child.stop()


def _threads(n_workers: int) -> dict[str, str]:
    """The share of one worker in the cores, and no more than the user allows."""
    share, allowed = share_of_cores(n_workers), os.environ.get("OMP_NUM_THREADS", "")
    if not allowed.isdecimal():
        return share
    return {name: str(min(int(number), int(allowed))) for name, number in share.items()}


def _gpus() -> list[str]:
    """The GPUs that this process may use."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
