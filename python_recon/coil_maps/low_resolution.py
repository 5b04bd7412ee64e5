"""Coil images of low resolution over their root-sum-of-squares: coarse, but there within milliseconds.

The images are windowed against ringing. The ratio is joined by a smooth fit, in which faint pixels count
little, and the fit is evaluated on the full matrix.

Cost for C coils, S samples and N x N pixels: 150 C S operations for gridding, 6e7 for the fit's
factorisation, 136 C N (N + 17) for its evaluation and about 40 C N^2 for the ratio; at 16 coils, N = 192,
100 spokes and a width of 32 (6,500 samples) 0.2 GFLOP in all.
"""

from __future__ import annotations

import torch

from python_recon.coil_maps.calibration import Calibration, Region
from python_recon.coil_maps.smoothness import normalised, signal_weight, smooth_maps

REGION = Region(narrowest=24, widest=32, most_spokes=100, is_rough=True)


def maps(calibration: Calibration, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps (coil, y, x)."""
    images = calibration.images(calibration.width, calibration.window())
    energy = torch.view_as_real(images).square().sum(0).sum(-1)
    return smooth_maps(normalised(images), signal_weight(energy), matrix)
