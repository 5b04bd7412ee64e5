"""The project's own NUFFT: a sparse interpolation matrix and an oversampled FFT, in Torch alone.

The fallback on CUDA where cufinufft is missing, and faster than a plan for dense frames that are
transformed often. Kaiser-Bessel kernel after Beatty et al., doi:10.1109/TMI.2005.848376.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch

_OVERSAMPLING = 2.0


class GridderPlan:
    """NUFFT of one frame for Torch tensors; the matrix lives on the device of the trajectory."""

    def __init__(self, trajectory: torch.Tensor, matrix: tuple[int, int], tolerance: float) -> None:
        width = 2 * math.ceil((1 - math.log10(tolerance)) / 2)
        beta = math.pi * math.sqrt((width / _OVERSAMPLING * (_OVERSAMPLING - 0.5)) ** 2 - 0.8)
        self._shape = tuple(int(n) for n in trajectory.shape[:2])
        self._matrix = matrix
        self._grid = (2 * matrix[0], 2 * matrix[1])
        points = trajectory.reshape(-1, 2).flip(-1).to(torch.float64) * _OVERSAMPLING
        self._interpolation = _interpolation(points, self._grid, width, beta)
        self._spreading = self._interpolation.transpose(0, 1).to_sparse_csr()
        weights = [_deapodisation(n, grid, width, beta) for n, grid in zip(matrix, self._grid, strict=True)]
        self._weight = torch.as_tensor(np.outer(*weights) / math.sqrt(matrix[0] * matrix[1])).to(
            points.device
        )
        self._weight = self._weight.to(torch.float32)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        padded = torch.zeros(len(images), *self._grid, dtype=images.dtype, device=images.device)
        padded[self._inner] = images * self._weight
        spectrum = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(padded, (-2, -1))), (-2, -1))
        samples = _matmul(self._interpolation, spectrum.reshape(len(images), -1))
        return samples.reshape(len(images), *self._shape)

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        spectrum = _matmul(self._spreading, kspace.reshape(len(kspace), -1)).reshape(-1, *self._grid)
        padded = torch.fft.fftshift(
            torch.fft.ifft2(torch.fft.ifftshift(spectrum, (-2, -1)), norm="forward"), (-2, -1)
        )
        image: torch.Tensor = padded[self._inner] * self._weight
        return image

    @property
    def _inner(self) -> tuple[slice, ...]:
        starts = [grid // 2 - n // 2 for n, grid in zip(self._matrix, self._grid, strict=True)]
        return (slice(None), *(slice(a, a + n) for a, n in zip(starts, self._matrix, strict=True)))


def _interpolation(points: torch.Tensor, grid: tuple[int, int], width: int, beta: float) -> torch.Tensor:
    """Sparse (sample, grid point) matrix of kernel values; points in grid cells from the centre."""
    columns, values = [], []
    for axis in range(2):
        first = torch.ceil(points[:, axis] - width / 2)
        cells = first[:, None] + torch.arange(width, device=points.device)
        values.append(_kernel(cells - points[:, axis, None], width, beta))
        columns.append((cells.long() + grid[axis] // 2) % grid[axis])
    column = (columns[0][:, :, None] * grid[1] + columns[1][:, None, :]).reshape(len(points), -1)
    value = (values[0][:, :, None] * values[1][:, None, :]).reshape(len(points), -1)
    order = column.argsort(1)
    rows = torch.arange(len(points) + 1, device=points.device) * width**2
    columns_of = column.gather(1, order).reshape(-1)
    values_of = value.gather(1, order).reshape(-1).to(torch.float32)
    with warnings.catch_warnings():  # Torch calls its CSR layout a beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(rows, columns_of, values_of, (len(points), grid[0] * grid[1]))


def _kernel(distance: torch.Tensor, width: int, beta: float) -> torch.Tensor:
    inside = (1 - (2 * distance / width) ** 2).clamp_min(0)
    value: torch.Tensor = torch.special.i0(beta * inside.sqrt()) / width
    return value


def _deapodisation(n: int, grid: int, width: int, beta: float) -> np.ndarray:
    """Reciprocal of the kernel's Fourier transform at the pixels."""
    argument = np.sqrt((np.pi * width * (np.arange(n) - n // 2) / grid) ** 2 - beta**2 + 0j)
    return np.real(argument / np.sin(argument))


def _matmul(matrix: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """Real sparse matrix times complex vectors, (coil, column) -> (coil, row)."""
    columns = torch.view_as_real(batch.mT.contiguous()).flatten(1)
    product = matrix @ columns
    return torch.view_as_complex(product.reshape(len(product), -1, 2)).mT
