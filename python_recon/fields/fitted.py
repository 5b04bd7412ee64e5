"""A fitted field with all that it takes to make images of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.resampling import resample_maps
from python_recon.fields.time_axis import TimeAxis
from python_recon.losses.tiles import grid_axis
from python_recon.operators.sense import combine

_FRAMES = 4
"""Rendered together."""


@dataclass(frozen=True)
class FittedField:
    """Renders at any time and matrix without fitting again."""

    net: KSpaceField
    start: LowRankStart | None
    """Is added to the field."""
    share: float
    """Of the field in that sum; at 0 it is not evaluated."""
    scale: float
    """Largest sample of the scan, the unit of field and start."""
    maps: torch.Tensor
    """(coil, y, x) coil maps, by which the coils are combined."""
    axis: TimeAxis

    @property
    def matrix(self) -> tuple[int, int]:
        """(y, x) of the scan."""
        rows, columns = self.maps.shape[-2:]
        return rows, columns

    @torch.no_grad()
    def render(self, times_s: np.ndarray, matrix: tuple[int, int] | None = None) -> Iterator[torch.Tensor]:
        """Images (frame, y, x) complex64 at times (frame,), a few frames at a time.

        Parameters
        ----------
        times_s
            Seconds on the clock of the scan.
        matrix
            (y, x); by default that of the scan. The field of view stays the same.

        Raises
        ------
        DataError
            If a time lies outside the scan.
        """
        matrix = matrix or self.matrix
        t = torch.as_tensor(np.atleast_1d(self.axis.of(times_s)), device=self.maps.device)
        for moments in torch.split(t, _FRAMES):
            yield self.scale * self._images(moments, matrix)

    def _images(self, t: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
        images = torch.zeros(len(t), *matrix, dtype=self.maps.dtype, device=t.device)
        if self.share > 0:
            images += self.share * self._network_images(t, matrix)
        return images if self.start is None else images + self.start.images(t, matrix)

    def _network_images(self, t: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
        """Cartesian query of the disc that the spokes reach, transformed and combined."""
        grid = _grid(matrix, self.matrix).to(t.device)
        reached = (torch.linalg.vector_norm(grid, dim=-1) < 1).flatten().nonzero()[:, 0]
        values = self.net.at_times(grid.flatten(0, 1)[reached], t)
        kspace = torch.zeros(
            len(t), self.net.n_coils, matrix[0] * matrix[1], dtype=values.dtype, device=t.device
        )
        kspace[:, :, reached] = values.transpose(1, 2)
        shifted = torch.fft.ifftshift(kspace.unflatten(-1, matrix), (-2, -1))  # type: ignore[no-untyped-call]
        coil_images = torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), (-2, -1))
        factor = (matrix[0] * matrix[1] / (self.matrix[0] * self.matrix[1])) ** 0.5
        return factor * combine(coil_images, resample_maps(self.maps, matrix))


def _grid(matrix: tuple[int, int], measured: tuple[int, int]) -> torch.Tensor:
    """Cartesian coordinates (y, x, 2) of a matrix, in units of the measured k-space."""
    y, x = (grid_axis(n) * (n / old) for n, old in zip(matrix, measured, strict=True))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
