"""Adaptive combination: the principal component of the coil covariance around each pixel.

Walsh, Gmitro, Marcellin, doi:10.1002/(SICI)1522-2594(200005)43:5<682::AID-MRM10>3.0.CO;2-G. The covariances
are taken on a coarse grid and their components found by power iteration, for all pixels at once. Other than
in the paper, the components are then joined by a smooth fit, which also continues them outside the object.
"""

from __future__ import annotations

import torch

from python_recon.coil_maps.calibration import Calibration, Region
from python_recon.coil_maps.smoothness import signal_weight, smooth_maps, virtual_coil

REGION = Region(narrowest=24, widest=32)

_POWER_STEPS = 8
_REACH = 2.0
"""Distance along each axis, in pixels of the coarse grid, at which the weight of a neighbour is 0."""


def maps(calibration: Calibration, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps (coil, y, x)."""
    images = calibration.images(calibration.width, calibration.window())
    covariance = _covariance(images)
    vectors = torch.einsum("yxij,j->yxi", covariance, virtual_coil(images))
    for _ in range(_POWER_STEPS):
        vectors = _unit(torch.einsum("yxij,yxj->yxi", covariance, vectors))
    energy = covariance.diagonal(dim1=-2, dim2=-1).real.sum(-1)
    return smooth_maps(vectors.permute(2, 0, 1), signal_weight(energy), matrix)


def _covariance(images: torch.Tensor) -> torch.Tensor:
    """(y, x, coil, coil) covariance over the neighbourhood of each pixel."""
    products = torch.einsum("iyx,jyx->ijyx", images, images.conj())
    rows, columns = (_near(n, images.device) for n in images.shape[1:])
    return (rows @ products @ columns).permute(2, 3, 0, 1)


def _near(n_pixels: int, device: torch.device) -> torch.Tensor:
    """(pixel, pixel) weights of the neighbourhood along one axis; the edges are not joined."""
    position = torch.arange(n_pixels, device=device)
    distance = (position[:, None] - position).abs()
    return (1 - distance / _REACH).clamp_min(0).to(torch.complex64)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / norm.clamp_min(1e-30)
