"""How far in k-space the samples reach, and images that hold nothing beyond.

Spokes leave the corners of a square k-space empty. What a regularisation writes there cannot be judged by any
sample: neither by held-out spokes nor by the risk, which is blind to it. That of total variation is a guess
that is more often right than not; that of a network is not taken.
"""

from __future__ import annotations

import math

import torch

from python_recon.data import KSpace
from python_recon.operators.sense import density_of

DISC = 1.0
"""Reach of spokes that end where the k-space of the matrix does."""
_TOLERANCE = 1e-4


def reach_of(kspace: KSpace) -> float:
    """Distance of the farthest sample from the centre, in halves of the k-space of the matrix (ellipses)."""
    half = kspace.trajectory.new_tensor([kspace.matrix[1] / 2, kspace.matrix[0] / 2])
    radius = torch.linalg.vector_norm(kspace.trajectory / half, dim=-1)
    return float((radius * (density_of(kspace) > 0)).amax())


def within_reach(images: torch.Tensor, reach: float) -> torch.Tensor:
    """Images (..., y, x) without what lies farther out in k-space; a projection, and its own adjoint."""
    if reach + _TOLERANCE >= math.sqrt(2):  # as far as the corners
        return images
    y, x = (2 * torch.fft.fftfreq(n, device=images.device) for n in images.shape[-2:])
    is_reached = torch.hypot(y[:, None], x) <= reach + _TOLERANCE
    return torch.fft.ifft2(torch.fft.fft2(images) * is_reached)
