"""k-space in which the relation between coils is exact, and noise in which there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tests.numerics import complex_noise

MATRIX = (52, 44)
N_COILS = 6


@dataclass(frozen=True)
class CartesianKSpace:
    """Values (y, x, coil) on the grid; called with coordinates on the grid, as a field is."""

    values: torch.Tensor

    def __call__(self, k):
        n_y, n_x = self.values.shape[:2]
        x = (k[..., 0] * n_x / 2).round().long() + n_x // 2
        y = (k[..., 1] * n_y / 2).round().long() + n_y // 2
        return self.values[y, x]

    def with_noise(self, level):
        """Noise relative to the RMS of the signal."""
        noise = torch.as_tensor(complex_noise(tuple(self.values.shape), 77)) / 2**0.5
        rms = self.values.abs().square().mean().sqrt()
        return CartesianKSpace(self.values + level * rms * noise)


def coil_kspace(matrix=MATRIX, n_coils=N_COILS, seed=0):
    """Object times coil maps of 3 x 3 Fourier terms: k-space convolved with 3 x 3 points for each coil.

    A point and its neighbours depend on the same 25 numbers; six neighbours of six coils determine them.
    """
    n_y, n_x = matrix
    source = complex_noise((n_y + 2, n_x + 2), seed)
    maps = complex_noise((3, 3, n_coils), seed + 1)
    windows = np.lib.stride_tricks.sliding_window_view(source, (3, 3))
    return CartesianKSpace(torch.as_tensor(np.einsum("yxab,abc->yxc", windows, maps)))


def noise_kspace(matrix=MATRIX, n_coils=N_COILS, seed=5):
    return CartesianKSpace(torch.as_tensor(complex_noise((*matrix, n_coils), seed)))


def point_sources(n_coils=5, n_sources=200, seed=0):
    """Continuous field: point sources within half the field of view of MATRIX, seen by smooth coil maps."""
    rng = np.random.default_rng(seed)
    position = rng.uniform(-0.25, 0.25, (n_sources, 2))
    centres = 0.5 * np.stack([np.cos(angles := 2 * np.pi * np.arange(n_coils) / n_coils), np.sin(angles)], 1)
    apart = np.square(position[:, None] - centres).sum(-1)
    signal = rng.normal(size=n_sources)[:, None] * np.exp(-apart / 0.3 + 1j * angles)
    cycles = torch.as_tensor(position * np.array([MATRIX[1], MATRIX[0]]) / 2)
    signal = torch.as_tensor(signal)

    def field(k):
        phase = torch.exp(-2j * torch.pi * (k.double() @ cycles.T))
        return (phase @ signal).to(torch.complex64)

    return field
