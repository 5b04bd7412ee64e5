"""Tasks on the workers of a Dask cluster that see the same folders."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gadgets.many.child import n_cores, run_child, share_of_cores
from gadgets.many.task import Result, Task, from_json, to_json
from python_recon.errors import BackendError, StreamError

GPU = "GPU"
"""The resource that a worker with a GPU is to be started with: ``dask worker ... --resources GPU=1``."""
_RETRIES = 2
"""How often a task is sent again after it could not even be started; those of lost workers are besides."""
_CONNECT_S = 30.0
_log = logging.getLogger(__name__)


def run_on_cluster(
    tasks: Sequence[Task], scheduler: str, device: Literal["auto", "cpu", "cuda"]
) -> Iterator[tuple[Task, Result]]:
    """Perform tasks on the workers of a Dask scheduler, each in a process of its own.

    A task whose worker dies is sent to another. Tasks that need a GPU, and those that may use one where
    some workers have it, go to workers with the resource ``GPU``.

    Yields
    ------
        Each task with its result, in the order in which they end.

    Raises
    ------
    BackendError
        Where dask.distributed is not installed.
    StreamError
        Where no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        cure = "pip install 'gadgetron-pisco[dask]'"
        raise BackendError(f"a Dask cluster needs dask.distributed, which is missing: {cure}") from error
    with _connect(scheduler) as client:
        workers = list(client.scheduler_info(n_workers=-1)["workers"].values())
        resources, share = _resources(workers, device), _tasks_per_host(workers)
        futures = {
            client.submit(
                _work, to_json(task), share, pure=False, retries=_RETRIES, resources=resources
            ): task
            for task in tasks
        }
        try:
            for future in distributed.as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                yield futures[future], _outcome(future)
        finally:
            client.cancel(list(futures))


def _connect(scheduler: str) -> Any:
    import distributed

    try:
        return distributed.Client(  # type: ignore[no-untyped-call]
            scheduler, timeout=_CONNECT_S, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise StreamError(f"no Dask scheduler answers at {scheduler} ({error}); is it running?") from error


def _resources(workers: Sequence[Mapping[str, Any]], device: str) -> dict[str, float]:
    has_gpu = any(worker["resources"].get(GPU) for worker in workers)
    if device == "cuda" and not has_gpu:
        _log.warning("no worker has the resource %s yet; start one with: dask worker --resources GPU=1", GPU)
    if not workers:
        _log.warning("the cluster has no workers yet; the scans wait for them")
    return {GPU: 1} if device == "cuda" or (device == "auto" and has_gpu) else {}


def _tasks_per_host(workers: Sequence[Mapping[str, Any]]) -> int:
    """How many tasks the fullest machine has at a time."""
    threads: Counter[str] = Counter()
    for worker in workers:
        threads[str(worker["host"])] += int(worker["nthreads"])
    return max(threads.values(), default=1)


def _work(text: str, share: int) -> str:
    """A task on a worker, as one of ``share`` on its machine, or on cores that are the worker's alone."""
    import distributed

    if n_cores() < (os.cpu_count() or 1):  # as Slurm binds its jobs
        share = distributed.get_worker().state.nthreads  # type: ignore[no-untyped-call]
    return run_child(text, share_of_cores(share))


def _outcome(future: Any) -> Result:
    if future.status == "finished":
        return from_json(Result, future.result())
    error = future.exception()
    return Result(error=f"the cluster gave it up: {type(error).__name__}: {error}")
