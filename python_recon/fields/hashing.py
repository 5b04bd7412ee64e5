"""What the hash grid and its kernels for CUDA share."""

from __future__ import annotations

from typing import Protocol

import torch

PRIMES = (1, 2_654_435_761, 805_459_861)
"""The published factors of the hash, one an axis."""


class HashedTable(Protocol):
    """A hash grid as its kernels see it."""

    table: torch.Tensor
    """(entry, feature)."""
    resolutions: torch.Tensor
    """(level, dimension) cells."""
    offsets: torch.Tensor
    """(level,) first entry of each."""
    n_levels: int
    n_dense: int
    """Levels whose vertices all have an entry of their own."""
    hash_mask: int

    @property
    def n_features(self) -> int:
        """Of all levels together."""

    def torch_features(self, x: torch.Tensor, level_weights: torch.Tensor | None = None) -> torch.Tensor:
        """The features by Torch alone."""
