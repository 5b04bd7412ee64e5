"""The project's own NUFFT: a sparse interpolation matrix and an oversampled FFT, in Torch alone.

The fallback on CUDA where cufinufft is missing, and faster than a plan for dense frames that are
transformed often. Kaiser-Bessel kernel after Beatty et al., doi:10.1109/TMI.2005.848376.
"""

from __future__ import annotations

import copy
import math
import warnings
from types import EllipsisType

import numpy as np
import torch

_OVERSAMPLING = 2.0
_TOGETHER_BYTES = 1 << 28
"""Of oversampled grids of all coils that are in memory together on a GPU; on a CPU it is one frame's."""
_COILS = 16
"""That are taken to be there: the blocks of frames are cut before images come."""


class GridderPlan:
    """NUFFT of a series for Torch tensors; its matrices live on the device of the trajectory.

    Frames that are transformed together share one block-diagonal matrix: one product for all of them.
    """

    def __init__(self, trajectory: torch.Tensor, matrix: tuple[int, int], tolerance: float) -> None:
        width = 2 * math.ceil((1 - math.log10(tolerance)) / 2)
        beta = math.pi * math.sqrt((width / _OVERSAMPLING * (_OVERSAMPLING - 0.5)) ** 2 - 0.8)
        self._matrix, self._grid = matrix, (2 * matrix[0], 2 * matrix[1])
        self._shape = tuple(int(n) for n in trajectory.shape[1:3])
        self.together = _frames_together(trajectory.device, self._grid)
        points = trajectory.flatten(1, 2).flip(-1).to(torch.float64) * _OVERSAMPLING
        matrices = [
            _interpolation(part, self._grid, width, beta) for part in torch.split(points, self.together)
        ]
        self._blocks = [(each, each.transpose(0, 1).to_sparse_csr()) for each in matrices]
        weights = [_deapodisation(n, grid, width, beta) for n, grid in zip(matrix, self._grid, strict=True)]
        weight = torch.as_tensor(np.outer(*weights) / math.sqrt(matrix[0] * matrix[1]))
        self._weight = weight.to(points.device, torch.float32)

    def of_frames(self, part: slice) -> GridderPlan:
        some = copy.copy(self)
        some._blocks = self._blocks[part.start // self.together : -(-part.stop // self.together)]
        return some

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        parts = zip(self._blocks, torch.split(images, self.together), strict=True)
        return torch.cat([self._samples(matrix, part) for (matrix, _), part in parts])

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        parts = zip(self._blocks, torch.split(kspace, self.together), strict=True)
        return torch.cat([self._images(matrix, part) for (_, matrix), part in parts])

    def _samples(self, interpolation: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        padded = torch.zeros(*images.shape[:2], *self._grid, dtype=images.dtype, device=images.device)
        weighted = images * self._weight
        for quarter, place in self._quarters:
            padded[place] = weighted[quarter]
        samples = _matmul(interpolation, torch.fft.fft2(padded).flatten(2))
        return samples.reshape(*images.shape[:2], *self._shape)

    def _images(self, spreading: torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
        spectrum = _matmul(spreading, kspace.flatten(2)).reshape(*kspace.shape[:2], *self._grid)
        padded = torch.fft.ifft2(spectrum, norm="forward")
        images = torch.empty(*kspace.shape[:2], *self._matrix, dtype=padded.dtype, device=padded.device)
        for quarter, place in self._quarters:
            images[quarter] = padded[place]
        return images.mul_(self._weight)

    @property
    def _quarters(self) -> list[tuple[tuple[EllipsisType | slice, ...], tuple[EllipsisType | slice, ...]]]:
        """Quarters of an image, and where they are on the grid of an FFT, whose first point is the centre."""
        halves = [
            ((slice(n // 2, n), slice(n - n // 2)), (slice(n // 2), slice(grid - n // 2, grid)))
            for n, grid in zip(self._matrix, self._grid, strict=True)
        ]
        return [((..., y, x), (..., to_y, to_x)) for y, to_y in halves[0] for x, to_x in halves[1]]


def _frames_together(device: torch.device, grid: tuple[int, int]) -> int:
    return 1 if device.type == "cpu" else max(1, _TOGETHER_BYTES // (8 * _COILS * grid[0] * grid[1]))


def _interpolation(points: torch.Tensor, grid: tuple[int, int], width: int, beta: float) -> torch.Tensor:
    """Sparse (frame * sample, frame * grid point) matrix of kernel values.

    ``points`` (frame, sample, 2) in grid cells from the centre.
    """
    n_frames, n_samples = points.shape[:2]
    columns, values = [], []
    for axis in range(2):
        first = torch.ceil(points[..., axis] - width / 2)
        cells = first[..., None] + torch.arange(width, device=points.device)
        values.append(_kernel(cells - points[..., axis, None], width, beta))
        columns.append(cells.long() % grid[axis])
    column = (columns[0][..., :, None] * grid[1] + columns[1][..., None, :]).flatten(-2)
    value = (values[0][..., :, None] * values[1][..., None, :]).flatten(-2)
    order = column.argsort(-1)
    column = column.gather(-1, order)
    column += (grid[0] * grid[1] * torch.arange(n_frames, device=points.device))[:, None, None]
    rows = torch.arange(n_frames * n_samples + 1, device=points.device) * width**2
    size = (n_frames * n_samples, n_frames * grid[0] * grid[1])
    values_of = value.gather(-1, order).flatten().to(torch.float32)
    with warnings.catch_warnings():  # Torch calls its CSR layout a beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(rows, column.flatten(), values_of, size)


def _kernel(distance: torch.Tensor, width: int, beta: float) -> torch.Tensor:
    inside = (1 - (2 * distance / width) ** 2).clamp_min(0)
    value: torch.Tensor = torch.special.i0(beta * inside.sqrt()) / width
    return value


def _deapodisation(n: int, grid: int, width: int, beta: float) -> np.ndarray:
    """Reciprocal of the kernel's Fourier transform at the pixels."""
    argument = np.sqrt((np.pi * width * (np.arange(n) - n // 2) / grid) ** 2 - beta**2 + 0j)
    return np.real(argument / np.sin(argument))


def _matmul(matrix: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """Real block-diagonal matrix times complex vectors, (frame, coil, column) -> (frame, coil, row)."""
    columns = torch.view_as_real(batch.mT.contiguous()).flatten(0, 1).flatten(1)
    product = (matrix @ columns).reshape(len(batch), -1, batch.shape[1], 2)
    return torch.view_as_complex(product).mT
