"""ESPIRiT: maps as eigenvectors of the signal space of the calibration data.

Uecker, Lai, Murphy, Virtue, Elad, Pauly, Vasanawala, Lustig, doi:10.1002/mrm.24751. Only patches within the
disc that the spokes cover enter the calibration matrix. The eigenvectors are taken on a coarse grid; pixels
whose eigenvalue is below the crop threshold do not count and are continued from the others by a smooth fit.
"""

from __future__ import annotations

import torch

from python_recon.coil_maps.calibration import Calibration, Region
from python_recon.coil_maps.smoothness import smooth_maps

REGION = Region(narrowest=16, widest=32)

_KERNEL = 5
"""Width of a patch, k-space samples."""
_NULL_SPACE = 1e-3
"""Components below this share of the largest one's energy are noise, and so is at least half of all:
without a null space, as in very noisy data, every vector would be an eigenvector."""
_CROP = (0.8, 0.95)
"""Eigenvalue at which a pixel begins to count, and at which it counts in full."""
_FIELD_OF_VIEW = 1.25
"""Of the Cartesian grid, so that opposite edges of an object that fills the field of view do not meet."""
_PIXELS, _MARGIN = 40, 4
"""Pixels of the coarse grid on the enlarged field of view, and how many of them lie beyond each edge."""


def maps(calibration: Calibration, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps (coil, y, x)."""
    operator = _image_operator(_signal_space(_patches(calibration)), calibration.n_coils)
    eigenvalues, eigenvectors = torch.linalg.eigh(operator)
    start, full = _CROP
    weight = ((eigenvalues[..., -1] - start) / (full - start)).clamp(1e-6, 1)
    return smooth_maps(eigenvectors[..., -1].permute(2, 0, 1), weight, matrix)


def _patches(calibration: Calibration) -> torch.Tensor:
    """Calibration matrix (patch, coil * ky * kx): every patch that lies within the disc."""
    grid = 2 * int(calibration.width * _FIELD_OF_VIEW / 2)
    images = calibration.images(grid, field_of_view=_FIELD_OF_VIEW)
    shifted = torch.fft.ifftshift(images, (-2, -1))
    kspace = torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), (-2, -1))
    patches = kspace.unfold(1, _KERNEL, 1).unfold(2, _KERNEL, 1)
    offset = torch.arange(grid - _KERNEL + 1, device=images.device) - grid // 2
    corner = torch.maximum(offset.abs(), (offset + _KERNEL - 1).abs())
    inside = corner[:, None] ** 2 + corner**2 <= (grid / 2 - 1) ** 2
    return patches[:, inside].transpose(0, 1).flatten(1)


def _signal_space(patches: torch.Tensor) -> torch.Tensor:
    """Projection (coil * ky * kx, same) onto the space that the patches span above the noise."""
    precise = patches.to(torch.complex128)  # energies below the threshold are lost in single precision
    eigenvalues, eigenvectors = torch.linalg.eigh(precise.mH @ precise)
    count = int((eigenvalues > _NULL_SPACE * eigenvalues[-1]).sum())
    kept = eigenvectors[:, -min(count, len(eigenvalues) // 2) :]
    return (kept.conj() @ kept.T).to(patches.dtype)


def _image_operator(projection: torch.Tensor, n_coils: int) -> torch.Tensor:
    """(y, x, coil, coil) action of the projection at each pixel of the coarse grid.

    Averaged over the positions in the patch it is a convolution in k-space, whose kernel has twice the
    patch's width, and so a product in the image.
    """
    blocks = projection.reshape(n_coils, _KERNEL, _KERNEL, n_coils, _KERNEL, _KERNEL)
    kernel = blocks.new_zeros(_PIXELS, _PIXELS, n_coils, n_coils)
    for row in range(_KERNEL):
        for column in range(_KERNEL):
            ky = torch.arange(_KERNEL, device=kernel.device) - row
            kx = torch.arange(_KERNEL, device=kernel.device) - column
            kernel[ky[:, None], kx] += blocks[:, :, :, :, row, column].permute(1, 2, 0, 3)
    operator = torch.fft.ifft2(kernel, dim=(0, 1), norm="forward") / _KERNEL**2
    inner = slice(_MARGIN, _PIXELS - _MARGIN)
    return torch.fft.fftshift(operator, (0, 1))[inner, inner]
