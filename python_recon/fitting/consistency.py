"""PISCO of a field in a fit: where it is evaluated, and the loss."""

from __future__ import annotations

import torch
from torch import nn

from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.losses import Pisco, Tiles, kernels_of, slice_patches, tile_size

_TIMES = 2
"""Moments to a call; their patches share the kernels, which do not change with time."""


class TileConsistency(nn.Module):
    """PISCO on square tiles of the Cartesian grid, each evaluated once and a set of its own.

    The kernels without middle row and without middle column take turns, as published.

    Parameters
    ----------
    n_coils
        At least 2.
    matrix
        (y, x) of the grid.
    n_tiles
        Tiles to a call.
    variant
        Of :class:`~python_recon.losses.Pisco`.
    start
        Is added to the field, for the relation holds for the whole signal; None: nothing is.
    """

    start_grid: torch.Tensor | None

    def __init__(
        self,
        n_coils: int,
        matrix: tuple[int, int],
        *,
        n_tiles: int = 6,
        variant: str = "residual",
        start: LowRankStart | None = None,
    ) -> None:
        super().__init__()
        self._pisco = Pisco(n_coils, matrix, variant=variant)
        self._kernels = kernels_of("alternating")
        size = tile_size(n_coils, self._kernels[0], n_components=_TIMES)
        self._tiles = Tiles(matrix, size)
        self._n_tiles, self._calls = n_tiles, 0
        self._temporal = None if start is None else start.temporal
        self.register_buffer("_half", torch.tensor([matrix[1], matrix[0]]) / 2, persistent=False)
        self.register_buffer("start_grid", None if start is None else start.grid(), persistent=False)

    def forward(self, field: KSpaceField, generator: torch.Generator) -> torch.Tensor:
        """Loss of the field at random tiles and moments."""
        k = self._tiles.coordinates(self._n_tiles, generator)
        t = torch.rand(_TIMES, generator=generator, device=k.device)
        values = field.at_times(k.flatten(0, 2), t).reshape(_TIMES, *k.shape[:3], field.n_coils)
        if self._temporal is not None and self.start_grid is not None:
            index = (k * self.get_buffer("_half") + self.get_buffer("_half").floor()).round().long()
            start = self.start_grid[:, index[..., 1], index[..., 0]]
            values = values + torch.einsum("tr,r...->t...", self._temporal(t).to(start.dtype), start)
        kernel = self._kernels[self._calls % len(self._kernels)]
        self._calls += 1
        loss, _ = self._pisco(*slice_patches(values, kernel), generator=generator)
        return loss  # type: ignore[no-any-return]


class ScatteredConsistency(nn.Module):
    """PISCO as published: scattered targets at one moment, every neighbour evaluated.

    Parameters
    ----------
    n_coils
        At least 2.
    n_readout
        Samples of a spoke.
    variant
        ``residual`` draws targets from the grid, ``distance`` (PISCO-dist) from the acquired samples.
    samples_k
        (point, 2), the acquired samples.
    max_sets
        Sets of k-space.
    """

    def __init__(
        self, n_coils: int, n_readout: int, variant: str, samples_k: torch.Tensor, max_sets: int
    ) -> None:
        super().__init__()
        self._pisco = Pisco.published(n_coils, n_readout, variant, max_sets=max_sets)
        self._candidates = samples_k if variant == "distance" else None

    def forward(self, field: KSpaceField, generator: torch.Generator) -> torch.Tensor:
        """Loss of the field at random targets and one moment."""
        targets_k, patches_k = self._pisco.sample_patches(generator, self._candidates)
        t = torch.rand(1, generator=generator, device=targets_k.device)
        k = torch.cat([targets_k[..., None, :], patches_k], -2)
        values = field.at_times(k.reshape(-1, 2), t)[0].reshape(*k.shape[:-1], field.n_coils)
        loss, _ = self._pisco(
            values[..., 0, :], values[..., 1:, :], targets_k, patches_k, generator=generator
        )
        return loss  # type: ignore[no-any-return]
