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
    span
        Moments are drawn between 0 and it.
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
        span: float = 1.0,
    ) -> None:
        super().__init__()
        self._span = span
        self._pisco = Pisco(n_coils, matrix, variant=variant)
        self._kernels = kernels_of("alternating")
        size = tile_size(n_coils, self._kernels[0], n_components=_TIMES)
        self._tiles = Tiles(matrix, size)
        inner, border = _inner_and_border(size, self._kernels[0].reach)
        self.register_buffer("_inner", inner, persistent=False)
        self.register_buffer("_border", border, persistent=False)
        self.register_buffer("_places", torch.cat([inner, border]).argsort(), persistent=False)
        self._n_tiles, self._calls = n_tiles, 0
        self._temporal = None if start is None else start.temporal
        self.register_buffer("_half", torch.tensor([matrix[1], matrix[0]]) / 2, persistent=False)
        self.register_buffer("start_grid", None if start is None else start.grid(), persistent=False)

    def forward(self, field: KSpaceField, generator: torch.Generator) -> torch.Tensor:
        """Loss of the field at random tiles and moments."""
        k = self._tiles.coordinates(self._n_tiles, generator)
        t = self._span * torch.rand(_TIMES, generator=generator, device=k.device)
        values = self._values(field, k, t)
        if self._temporal is not None and self.start_grid is not None:
            index = (k * self.get_buffer("_half") + self.get_buffer("_half").floor()).round().long()
            start = self.start_grid[:, index[..., 1], index[..., 0]]
            values = values + torch.einsum("tr,r...->t...", self._temporal(t).to(start.dtype), start)
        kernel = self._kernels[self._calls % len(self._kernels)]
        self._calls += 1
        loss, _ = self._pisco(*slice_patches(values, kernel), generator=generator)
        return loss  # type: ignore[no-any-return]

    def _values(self, field: KSpaceField, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The field (time, tile, y, x, coil) at k (tile, y, x, 2).

        Points at the border of a tile are neighbours only: where these carry no gradient, they need no graph.
        """
        points = k.flatten(1, 2)
        parts = [self.get_buffer(name) for name in ("_inner", "_border")]
        learns = (True, self._pisco.gradient_through != "targets")
        values = [
            _at_times(field, points[:, part], t, each) for part, each in zip(parts, learns, strict=True)
        ]
        return torch.cat(values, 2)[:, :, self.get_buffer("_places")].reshape(len(t), *k.shape[:3], -1)


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
    span
        The moment is drawn between 0 and it.
    """

    def __init__(
        self,
        n_coils: int,
        n_readout: int,
        variant: str,
        samples_k: torch.Tensor,
        max_sets: int,
        *,
        span: float = 1.0,
    ) -> None:
        super().__init__()
        self._span = span
        self._pisco = Pisco.published(n_coils, n_readout, variant, max_sets=max_sets)
        self._candidates = samples_k if variant == "distance" else None

    def forward(self, field: KSpaceField, generator: torch.Generator) -> torch.Tensor:
        """Loss of the field at random targets and one moment."""
        targets_k, patches_k = self._pisco.sample_patches(generator, self._candidates)
        t = self._span * torch.rand(1, generator=generator, device=targets_k.device)
        through = self._pisco.gradient_through
        targets = _at_times(field, targets_k, t, through != "patches")[0]
        patches = _at_times(field, patches_k, t, through != "targets")[0]
        loss, _ = self._pisco(targets, patches, targets_k, patches_k, generator=generator)
        return loss  # type: ignore[no-any-return]


def _at_times(field: KSpaceField, k: torch.Tensor, t: torch.Tensor, learns: bool) -> torch.Tensor:
    """The field (time, ..., coil) at k (..., 2); without a graph where its gradient is not wanted."""
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        return field.at_times(k.reshape(-1, 2), t).reshape(len(t), *k.shape[:-1], -1)


def _inner_and_border(size: int, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the points of a tile (y, x), flattened, that are targets, and of those that are not."""
    is_inner = torch.zeros(size, size, dtype=torch.bool)
    is_inner[reach:-reach, reach:-reach] = True
    return is_inner.flatten().nonzero()[:, 0], (~is_inner).flatten().nonzero()[:, 0]
