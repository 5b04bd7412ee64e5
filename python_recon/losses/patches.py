"""Draws targets and their neighbours from k-space and cuts them into sets."""

from __future__ import annotations

import math

import torch
from torch import nn

from python_recon.errors import ShapeError
from python_recon.losses.kernels import kernels_of
from python_recon.losses.tiles import LIMIT_TOLERANCE, draw, grid_axis


class PatchSampler(nn.Module):
    """Sets of targets that share a relation to their neighbours.

    Sets are ordered by radius, as published; those of turned kernels by angle, for theirs is the same only
    within a sector. Parameters as in :class:`~python_recon.losses.Pisco`; ``set_limits`` are the fewest
    and the most sets.
    """

    candidates: torch.Tensor
    """(point, 2): the grid points that may be targets."""
    spacing: torch.Tensor
    """(2,): distance of neighbours along kx and ky."""

    def __init__(
        self,
        n_coils: int,
        matrix: tuple[int, int],
        geometry: str,
        spacing: float,
        set_limits: tuple[int, int],
        oversampling: float,
        skip_inside: float,
    ) -> None:
        super().__init__()
        kernels = kernels_of(geometry)
        self.kernels = nn.ModuleList(kernels)
        self._n_draws = 0
        self._is_turned = kernels[0].frame != "grid"
        self.n_rows = math.ceil(oversampling * n_coils * kernels[0].n_neighbours)
        self._min_sets, self._max_sets = set_limits
        step = 2 / min(matrix)
        self._inner, self._outer = skip_inside * step, 1 - step
        steps = torch.tensor([2 / n for n in reversed(matrix)])
        self.register_buffer("spacing", spacing * steps, persistent=False)
        self.register_buffer("candidates", self._candidates(matrix), persistent=False)

    def forward(
        self, generator: torch.Generator | None = None, candidates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates (set, row, 2) and (set, row, neighbour, 2); :meth:`Pisco.sample_patches` says more."""
        points = self.candidates if candidates is None else candidates
        n_sets = self._count_sets(len(points))
        chosen = points[draw(len(points), n_sets * self.n_rows, points.device, generator)]
        kernel = self.kernels[self._n_draws % len(self.kernels)]
        self._n_draws += 1
        neighbours = kernel(chosen, self.spacing)
        order = self._ordering(chosen, self.may_count(chosen, neighbours))
        shape = (n_sets, self.n_rows)
        return chosen[order].reshape(*shape, 2), neighbours[order].reshape(*shape, -1, 2)

    def cut(
        self, targets: torch.Tensor, patches: torch.Tensor, targets_k: torch.Tensor, may_count: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sets (set, row, ...) of flat rows; a remainder at the end is left out."""
        n_sets = self._count_sets(len(targets))
        n_rows = len(targets) // n_sets
        order = self._ordering(targets_k, may_count)[: n_sets * n_rows].reshape(n_sets, n_rows)
        return targets[order], patches[order]

    def may_count(self, targets_k: torch.Tensor, patches_k: torch.Tensor) -> torch.Tensor:
        """Whether targets (..., 2) and neighbours (..., neighbour, 2) lie clear of centre and edge."""
        radius = torch.cat([targets_k[..., None, :], patches_k], -2).norm(dim=-1)
        is_allowed = (radius > self._inner + LIMIT_TOLERANCE) & (radius <= self._outer + LIMIT_TOLERANCE)
        return is_allowed.all(-1)

    def _ordering(self, targets_k: torch.Tensor, may_count: torch.Tensor) -> torch.Tensor:
        """Order by radius or angle, rows that may not count at the end."""
        x, y = targets_k.unbind(-1)
        place = torch.atan2(y, x) if self._is_turned else torch.hypot(x, y)
        return torch.where(may_count, place, torch.inf).argsort()

    def _candidates(self, matrix: tuple[int, int]) -> torch.Tensor:
        y, x = torch.meshgrid(*(grid_axis(n) for n in matrix), indexing="ij")
        grid = torch.stack([x.flatten(), y.flatten()], -1)
        allowed = [self.may_count(grid, kernel(grid, self.spacing)) for kernel in self.kernels]
        return grid[torch.stack(allowed).all(0)]

    def _count_sets(self, n_points: int) -> int:
        n_sets = min(self._max_sets, n_points // self.n_rows)
        if n_sets < self._min_sets:
            raise ShapeError(
                f"found {n_points} points that may be targets and at most {self._max_sets} sets; expected "
                f"{self._min_sets} sets of {self.n_rows} rows or more: "
                "take fewer coils, less oversampling or a finer grid"
            )
        return n_sets
