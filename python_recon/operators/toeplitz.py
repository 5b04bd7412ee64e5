"""Normal operators of radial SENSE as convolutions, without a NUFFT in the loop.

``F^H W F`` of a frame is a convolution with the point-spread function of its weighted trajectory; on a
grid of twice the matrix it is exact (Fessler et al., doi:10.1109/TSP.2005.853152). Where all samples lie on
the grid of the matrix itself, it is a product with their weights there, and nothing is padded. Rows and
columns that are padding on the way in, or cut on the way out, are not transformed, which saves a quarter of
the FFTs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch

from python_recon.operators.grid_plan import cells_of, is_on_grid
from python_recon.operators.nufft import Nufft
from python_recon.resources.parallel import side_by_side

_WORKING_SET_BYTES = {"cpu": 1_500_000, "cuda": 64_000_000}
"""Padded images that are in flight together: on a CPU what stays in a core's second-level cache."""

_COLUMNS = {"cpu": 32, "cuda": 1 << 20}
"""Columns of k-space that are mixed together, for the same reason."""


def point_spread_kernels(
    trajectory: torch.Tensor, weights: torch.Tensor, matrix: tuple[int, int], tolerance: float = 1e-4
) -> torch.Tensor:
    """Spectrum of the point-spread function of every frame.

    Parameters
    ----------
    trajectory
        (frame, spoke, readout, 2), cycles per field of view.
    weights
        (frame, spoke, readout), real.
    matrix
        Image matrix (y, x).
    tolerance
        Of the NUFFT that computes it.

    Returns
    -------
        (frame, 2 y, 2 x) real float32, or (frame, y, x) of samples that lie on the grid. Columns are
        contiguous in memory, as an FFT along them leaves the spectra that they multiply.
    """
    if is_on_grid(trajectory):
        return _summed_weights(trajectory, weights, matrix)
    grid = (2 * matrix[0], 2 * matrix[1])
    nufft = Nufft(2 * trajectory, grid, tolerance)
    scale = 2 / (matrix[0] * matrix[1]) ** 0.5
    strengths = (scale * weights)[:, None].to(torch.complex64)

    def columns(part: slice) -> torch.Tensor:
        blocks = nufft.blocks(part)
        return torch.cat([_columns(nufft.of_frames(f).adjoint(strengths[f])[:, 0]) for f in blocks])

    return torch.cat(side_by_side(columns, len(trajectory), trajectory.device)).mT


def _summed_weights(trajectory: torch.Tensor, weights: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Weights (frame, y, x) of the cells of the grid, in the order of an FFT."""
    cells = cells_of(trajectory.flip(-1), (matrix[1], matrix[0])).flatten(1)
    sums = weights.new_zeros(len(weights), matrix[1] * matrix[0], dtype=torch.float32)
    sums.scatter_add_(1, cells, weights.flatten(1).float())
    return sums.reshape(-1, matrix[1], matrix[0]).mT


def _columns(spread: torch.Tensor) -> torch.Tensor:
    """Spectrum (frame, x, y) of point-spread functions (frame, y, x), which are Hermitian."""
    half = torch.fft.ifftshift(spread.mT, (-2, -1))[..., : spread.shape[-2] // 2 + 1]
    along_x = torch.fft.fft(half, dim=-2)
    return torch.fft.hfft(along_x, spread.shape[-2])


class SenseGram:
    """``S^H F^H W F S`` of every frame: (frame, y, x) -> (frame, y, x).

    Parameters
    ----------
    kernels
        (frame, 2 y, 2 x) or (frame, y, x) from :func:`point_spread_kernels`.
    maps
        (coil, y, x) complex coil maps.
    """

    def __init__(self, kernels: torch.Tensor, maps: torch.Tensor) -> None:
        self._kernels, self._maps = kernels, maps
        self._conjugate = maps.conj().resolve_conj()
        self._together = _frames_together(kernels.shape[-2:], maps.device.type)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) == 1:
            return self._of_frames(images, slice(0, 1))
        return torch.cat(side_by_side(lambda part: self._of_frames(images, part), len(images), images.device))

    def _of_frames(self, images: torch.Tensor, part: slice) -> torch.Tensor:
        result = torch.zeros_like(images[part])
        for together in _slices(len(result), self._together):
            frames = slice(part.start + together.start, min(part.start + together.stop, part.stop))
            doubled = _doubled(self._kernels[frames])
            for maps, conjugate in zip(self._maps, self._conjugate, strict=True):
                result[together].addcmul_(_convolve(images[frames] * maps, doubled), conjugate)
        return result

    def norm(self, iterations: int = 20) -> torch.Tensor:
        """Bound of the largest eigenvalue of any frame: power iteration on four of them, and a tenth more.

        Done without the coil maps, which raise it at most by their largest sum of squares. It starts from
        noise: the large eigenvalues belong to fine structure where spokes lie closest, not to the object.
        """
        strongest = self._kernels.amax((-2, -1)).topk(min(4, len(self._kernels))).indices
        generator = torch.Generator().manual_seed(0)
        shape = (len(strongest), *self._maps.shape[-2:])
        noise = torch.randn(shape, dtype=self._maps.dtype, generator=generator).to(self._maps.device)

        def largest(part: slice) -> torch.Tensor:
            images, kernels = noise[part], _doubled(self._kernels[strongest[part]])
            for _ in range(iterations):
                length = torch.linalg.vector_norm(images, dim=(-2, -1), keepdim=True)
                images = _convolve(images / length.clamp_min(1e-30), kernels)
            return torch.linalg.vector_norm(images, dim=(-2, -1))

        square = self._maps.abs().square().sum(0).amax()
        return 1.1 * square * torch.cat(side_by_side(largest, len(noise), noise.device)).amax()


class SubspaceGram:
    """``V^H S^H F^H W F S V``: (component, y, x) -> (component, y, x).

    The temporal basis V acts between the Fourier transforms, on kernels that are summed over the frames
    once: components instead of frames are transformed (Tamir et al., doi:10.1002/mrm.26102).

    Parameters
    ----------
    kernels
        (frame, 2 y, 2 x) or (frame, y, x) from :func:`point_spread_kernels`.
    maps
        (coil, y, x) complex coil maps.
    basis
        (frame, component) real temporal basis.
    """

    def __init__(self, kernels: torch.Tensor, maps: torch.Tensor, basis: torch.Tensor) -> None:
        self._maps, self._grid = maps, kernels.shape[-2:]
        self._width = min(_COLUMNS[maps.device.type], kernels.shape[-1])
        pairs = torch.einsum("fk,fl->lkf", basis, basis).flatten(0, 1)
        columns = kernels.mT
        mixed = (pairs @ columns.flatten(1)).reshape(basis.shape[1], basis.shape[1], *columns.shape[1:])
        # Doubled, so that a kernel multiplies real and imaginary parts that lie side by side.
        self._mixing = [block.repeat_interleave(2, -1) for block in torch.split(mixed, self._width, -2)]

    def __call__(self, components: torch.Tensor) -> torch.Tensor:
        parts = side_by_side(
            lambda coils: self._of_coils(components, coils), len(self._maps), components.device
        )
        return functools.reduce(torch.Tensor.add_, parts)

    def _of_coils(self, components: torch.Tensor, coils: slice) -> torch.Tensor:
        rows, columns = components.shape[-2:]
        result = torch.zeros_like(components)
        for maps in self._maps[coils]:
            spectra = torch.fft.fft(components * maps, self._grid[1])
            for mixing, block in zip(self._mixing, torch.split(spectra, self._width, -1), strict=True):
                mixed = _mix(mixing, torch.fft.fft(block, self._grid[0], dim=-2))
                block.copy_(torch.fft.ifft(mixed, dim=-2)[..., :rows, :])
            result += torch.fft.ifft(spectra)[..., :columns] * maps.conj()
        return result


def _mix(mixing: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Sum over l of ``mixing[l, k] * spectra[l]``; the mixing is transposed and doubled along y."""
    pairs = torch.view_as_real(spectra.mT.contiguous()).flatten(-2)
    mixed = mixing[0] * pairs[0]
    for kernel, pair in zip(mixing[1:], pairs[1:], strict=True):
        mixed.addcmul_(kernel, pair)
    return torch.view_as_complex(mixed.reshape(*mixed.shape[:-1], -1, 2)).mT


def convolve(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Convolve images (..., y, x) with kernels of :func:`point_spread_kernels`."""
    return _convolve(images, _doubled(kernels))


def _doubled(kernels: torch.Tensor) -> torch.Tensor:
    """Kernels (..., x, twice y), to multiply real and imaginary parts that lie side by side along y."""
    return kernels.mT.repeat_interleave(2, -1)


def _convolve(images: torch.Tensor, doubled: torch.Tensor) -> torch.Tensor:
    rows, columns = images.shape[-2:]
    padded_columns, padded_rows = doubled.shape[-2], doubled.shape[-1] // 2
    spectra = torch.fft.fft(torch.fft.fft(images, padded_columns).mT, padded_rows).contiguous()
    torch.view_as_real(spectra).flatten(-2).mul_(doubled)
    return torch.fft.ifft(torch.fft.ifft(spectra)[..., :rows].mT)[..., :columns]


def _frames_together(grid: torch.Size, device: str) -> int:
    """How many frames to transform together, one coil at a time."""
    return max(1, _WORKING_SET_BYTES[device] // (8 * grid[0] * grid[1]))


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))
