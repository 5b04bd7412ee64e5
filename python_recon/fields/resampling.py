"""Images and coil maps of one field of view on another matrix."""

from __future__ import annotations

import torch
from torch.nn import functional


def resample_images(images: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Complex images (..., y, x) on a matrix (y, x): their k-space cut or padded with zeros."""
    if images.shape[-2:] == matrix:
        return images
    spectrum = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(images, (-2, -1))), (-2, -1))
    pads: list[int] = []
    for old, new in zip(reversed(images.shape[-2:]), reversed(matrix), strict=True):
        before = new // 2 - old // 2
        pads += [before, new - old - before]
    padded = torch.fft.ifftshift(functional.pad(spectrum, pads), (-2, -1))
    factor = matrix[0] * matrix[1] / (images.shape[-2] * images.shape[-1])
    return torch.fft.fftshift(torch.fft.ifft2(padded), (-2, -1)) * factor


def resample_maps(maps: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps (coil, y, x), which are smooth, interpolated linearly."""
    if maps.shape[-2:] == matrix:
        return maps
    rows, columns = (_positions(n, old, maps.device) for n, old in zip(matrix, maps.shape[-2:], strict=True))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    parts = torch.cat([maps.real, maps.imag])[None]
    grid = torch.stack([x, y], -1)[None].to(parts.dtype)
    real, imag = functional.grid_sample(parts, grid, padding_mode="border", align_corners=True)[0].chunk(2)
    return torch.complex(real.contiguous(), imag.contiguous())


def _positions(n: int, old: int, device: torch.device) -> torch.Tensor:
    """Pixels of the new axis on the old one, from -1 (its first pixel) to 1 (its last)."""
    index = (torch.arange(n, device=device) - n // 2) * (old / n) + old // 2
    return 2 * index / max(old - 1, 1) - 1
