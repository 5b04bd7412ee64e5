"""PISCO of a field in a fit: where it is evaluated, and the loss.

What is left to chance is drawn ahead, into memory that stays: the loss itself can then be part of a CUDA
graph.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.losses import Pisco, Tiles, kernels_of, slice_patches, tile_size

_TIMES = 2
"""Moments to a call; their patches share the kernels, which do not change with time."""


class Consistency(Protocol):
    """A term of a loss that asks the field at places of its own."""

    n_turns: int
    """Forms that the term takes in turn, such as kernels; what they do on the device differs."""
    turn: int
    """That of the places that were drawn last."""

    def draw(self, generator: torch.Generator) -> None:
        """Choose where the field is asked next."""

    def __call__(self, field: KSpaceField) -> torch.Tensor:
        """The loss, a scalar, at the places that were drawn last."""


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
        self.n_turns, self.turn = len(self._kernels), -1
        n_tiles = min(n_tiles, len(self._tiles.corners))
        self.register_buffer("_drawn", torch.zeros(n_tiles, dtype=torch.int64), persistent=False)
        self.register_buffer("_moments", torch.zeros(_TIMES), persistent=False)
        self.register_buffer("_coils", torch.arange(self._pisco.n_target_coils), persistent=False)
        self._temporal = None if start is None else start.temporal
        self.register_buffer("_half", torch.tensor([matrix[1], matrix[0]]) / 2, persistent=False)
        self.register_buffer("start_grid", None if start is None else start.grid(), persistent=False)

    def draw(self, generator: torch.Generator) -> None:
        """Choose other tiles, moments and target coils, and the next kernel."""
        drawn, moments, coils = (self.get_buffer(name) for name in ("_drawn", "_moments", "_coils"))
        drawn.copy_(self._tiles.draw(len(drawn), generator))
        torch.rand(len(moments), generator=generator, out=moments)
        coils.copy_(self._pisco.draw_coils(generator))
        self.turn = (self.turn + 1) % self.n_turns

    def forward(self, field: KSpaceField) -> torch.Tensor:
        """Loss of the field at the tiles and moments that were drawn last."""
        k = self._tiles.coordinates_of(self.get_buffer("_drawn"))
        t = self._span * self.get_buffer("_moments")
        values = self._values(field, k, t)
        if self._temporal is not None and self.start_grid is not None:
            index = (k * self.get_buffer("_half") + self.get_buffer("_half").floor()).round().long()
            start = self.start_grid[:, index[..., 1], index[..., 0]]
            values = values + torch.einsum("tr,r...->t...", self._temporal(t).to(start.dtype), start)
        targets, patches = slice_patches(values, self._kernels[self.turn])
        loss, _ = self._pisco(targets, patches, target_coils=self.get_buffer("_coils"))
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
        self.n_turns, self.turn = 1, 0
        self._drawn: tuple[torch.Tensor, ...] = ()

    def draw(self, generator: torch.Generator) -> None:
        """Choose other targets, with their neighbours, another moment and other target coils."""
        targets_k, patches_k = self._pisco.sample_patches(generator, self._candidates)
        t = torch.rand(1, generator=generator, device=targets_k.device)
        drawn = (targets_k, patches_k, t, self._pisco.draw_coils(generator))
        self._drawn = self._drawn or tuple(map(torch.empty_like, drawn))
        for kept, new in zip(self._drawn, drawn, strict=True):
            kept.copy_(new)

    def forward(self, field: KSpaceField) -> torch.Tensor:
        """Loss of the field at the targets and the moment that were drawn last."""
        targets_k, patches_k, t, coils = self._drawn
        through = self._pisco.gradient_through
        targets = _at_times(field, targets_k, self._span * t, through != "patches")[0]
        patches = _at_times(field, patches_k, self._span * t, through != "targets")[0]
        loss, _ = self._pisco(targets, patches, targets_k, patches_k, target_coils=coils)
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
