"""Multi-resolution hash encoding: Mueller et al., doi:10.1145/3528223.3530127, in pure Torch.

On CUDA the kernels of :mod:`~python_recon.fields.hash_grid_triton` take over where they are faster.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import nn

from python_recon.errors import ConfigError
from python_recon.fields.hashing import PRIMES

_FIRST_VALUES = 1e-4
"""Bound of the uniform start of the table, as published."""

_log = logging.getLogger(__name__)


class HashGrid(nn.Module):
    """Features that are interpolated linearly on grids of growing resolution.

    Level l has ``N_l = floor(base_resolution scale^l)`` cells an axis and features at the N_l + 1 vertices.
    A level whose vertices fit into ``2^log2_table_size`` entries keeps them all (dense); finer ones share as
    many entries by the hash ``(xor_i x_i p_i) mod 2^log2_table_size``. The parameters are ``n_features``
    for every entry of every level; ``n_parameters`` counts them.

    Parameters
    ----------
    base_resolution
        Cells of the coarsest level along every axis, or along each.
    scale
        Ratio of the resolutions of successive levels.

    Raises
    ------
    ConfigError
        If ``n_dims`` is not 2 or 3, the resolutions are not as many, or a grid has no cell.
    """

    strides: torch.Tensor
    corners: torch.Tensor
    resolutions: torch.Tensor
    offsets: torch.Tensor

    def __init__(
        self,
        n_dims: int,
        generator: torch.Generator,
        *,
        n_levels: int = 16,
        n_features: int = 2,
        log2_table_size: int = 19,
        base_resolution: int | Sequence[int] = 16,
        scale: float = 2.0,
    ) -> None:
        super().__init__()
        cells = _cells(n_dims, n_levels, base_resolution, scale)
        vertices = [math.prod(n + 1 for n in level) for level in cells]
        entries = [min(n, 2**log2_table_size) for n in vertices]
        self.n_levels, self.n_features = n_levels, n_levels * n_features
        self.n_dense = sum(n <= 2**log2_table_size for n in vertices)
        self.hash_mask = 2**log2_table_size - 1
        table = torch.empty(sum(entries), n_features, device=generator.device)
        self.table = nn.Parameter(table.uniform_(-_FIRST_VALUES, _FIRST_VALUES, generator=generator))
        self._register(cells, [0, *itertools.accumulate(entries[:-1])])

    def _register(self, cells: list[list[int]], offsets: list[int]) -> None:
        """Keep the shape of the grids as buffers; they follow from the arguments and are not saved."""
        n_dims, device = len(cells[0]), self.table.device
        corners = list(itertools.product((0, 1), repeat=n_dims))
        strides = [[math.prod(n + 1 for n in level[:axis]) for axis in range(n_dims)] for level in cells]
        buffers = {
            "resolutions": torch.tensor(cells),
            "offsets": torch.tensor(offsets),
            "corners": torch.tensor(corners),
            "strides": torch.tensor(strides[: self.n_dense], dtype=torch.int64).reshape(-1, n_dims),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values.to(device), persistent=False)

    @property
    def n_parameters(self) -> int:
        return self.table.numel()

    def level_weights(self, n_unlocked: float) -> torch.Tensor:
        """Weights (level,) that pass the first ``n_unlocked`` levels; a fraction fades the next one in.

        Levels of weight 0 get no gradient, so that coarse structure is settled before fine (Feng et al.,
        doi:10.1109/TMI.2025.3526452).
        """
        level = torch.arange(self.n_levels, device=self.table.device, dtype=self.table.dtype)
        return (n_unlocked - level).clamp(0, 1)

    def forward(self, x: torch.Tensor, level_weights: torch.Tensor | None = None) -> torch.Tensor:
        """(point, dimension) in 0..1 -> (point, level * feature), features running fastest.

        Beyond 0..1 the outermost cells are continued linearly. ``level_weights`` (level,) scale the levels.
        """
        # Compilers of whole graphs fuse the Torch path themselves.
        kernels = _kernels() if x.is_cuda and not torch.compiler.is_compiling() else None
        if kernels is not None and kernels.is_faster(self, x, level_weights):
            return kernels.features(self, x, level_weights)
        return self.torch_features(x, level_weights)

    def torch_features(self, x: torch.Tensor, level_weights: torch.Tensor | None = None) -> torch.Tensor:
        """As :meth:`forward`, by Torch alone: on any device, of any precision, with every gradient."""
        position = x * self.resolutions[:, None].to(x.dtype)
        cell = torch.minimum(position.detach().floor().clamp_min(0), self.resolutions[:, None] - 1)
        fraction = (position - cell)[:, :, None]
        vertex = cell.long()[:, :, None] + self.corners
        near = torch.where(self.corners == 1, fraction, 1 - fraction)
        weight = near[..., 0]
        for axis in range(1, x.shape[-1]):
            weight = weight * near[..., axis]
        index = self._entries(vertex)
        # Not einsum: autocast would round the features. Its backward is an index_add.
        values = self.table.index_select(0, index.flatten()).unflatten(0, index.shape)  # type: ignore[no-untyped-call]
        features = (weight[..., None] * values).sum(2)
        if level_weights is not None:
            features = level_weights[:, None, None] * features
        return features.transpose(0, 1).flatten(1)

    def _entries(self, vertex: torch.Tensor) -> torch.Tensor:
        """Rows of the table (level, point, corner) of vertices (level, point, corner, dimension)."""
        dense = (vertex[: self.n_dense] * self.strides[:, None, None]).sum(-1)
        hashed = vertex[self.n_dense :, ..., 0] * PRIMES[0]
        for axis in range(1, vertex.shape[-1]):
            hashed = hashed ^ (vertex[self.n_dense :, ..., axis] * PRIMES[axis])
        return torch.cat([dense, hashed & self.hash_mask]) + self.offsets[:, None, None]


@functools.cache
def _kernels() -> ModuleType | None:
    """The kernels for CUDA, where Triton can be imported."""
    try:
        from python_recon.fields import hash_grid_triton
    except ImportError as error:
        _log.info("the hash grid is computed by Torch: no Triton (%s)", error)
        return None
    return hash_grid_triton


def _cells(n_dims: int, n_levels: int, base_resolution: int | Sequence[int], scale: float) -> list[list[int]]:
    """Cells of every level along every axis."""
    base = [base_resolution] * n_dims if isinstance(base_resolution, int) else list(base_resolution)
    if not 2 <= n_dims <= len(PRIMES) or len(base) != n_dims or min(base) < 1 or scale < 1:
        raise ConfigError(
            f"a hash grid of {n_dims} dimensions with base resolution {base} and scale {scale} cannot be "
            "made: expected 2 or 3 dimensions, one positive resolution for each and a scale of at least 1"
        )
    return [[math.floor(n * scale**level) for n in base] for level in range(n_levels)]
