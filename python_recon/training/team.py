"""Several processes that train one network, each on scans of its own: torch.distributed, one for each GPU."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from python_recon.errors import BackendError

_PATIENCE = timedelta(hours=12)
"""Of those who wait while the first one prepares the scans."""


@dataclass(frozen=True)
class Team:
    """Who takes part."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, prepares and tells."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            distributed.barrier()

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Over the processes."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def average_gradients(self, weights: Iterable[torch.nn.Parameter]) -> None:
        """Those of all processes, so that all take the same step."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, mean in zip(
            gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """The team that the environment names, as torchrun sets it; else this process alone.

    Raises
    ------
    BackendError
        If the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2:
        yield Team()
        return
    rank = int(os.environ.get("RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    try:
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise BackendError(
            f"the {size} processes cannot join: {error}; start them by --gpus {size}, or by torchrun"
        ) from error
    try:
        yield Team(rank, size)
    finally:
        distributed.destroy_process_group()
