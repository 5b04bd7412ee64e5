"""Radial scans of an ellipse phantom with dipole-like coils, sampled from a fourfold finer grid."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import finufft
import numpy as np
import pytest

from python_recon.data import KSpace

GOLDEN_ANGLE = np.pi * (np.sqrt(5) - 1) / 2
_FINER = 4
_ELLIPSES = [
    # value, semi-axes (x, y), centre (x, y), in fields of view
    (1.0, 0.40, 0.30, 0.00, 0.00),
    (-0.6, 0.12, 0.17, -0.18, 0.02),
    (-0.6, 0.10, 0.16, 0.20, 0.00),
    (0.8, 0.08, 0.08, 0.00, 0.08),
    (0.5, 0.03, 0.05, 0.10, -0.20),
]


@dataclass(frozen=True)
class SimulatedScan:
    kspace: KSpace
    coil_images: np.ndarray
    """(coil, y, x), what the coils see, without noise."""

    def outside(self, maps: np.ndarray) -> float:
        """Fraction of the energy of the coil images that the maps cannot explain."""
        explained = maps * (maps.conj() * self.coil_images).sum(0)
        return float(
            np.sum(np.abs(self.coil_images - explained) ** 2) / np.sum(np.abs(self.coil_images) ** 2)
        )

    def difference(self, maps: np.ndarray, expected: np.ndarray) -> float:
        """Largest difference of maps within the object."""
        return float(np.abs(maps - expected)[:, np.abs(self.coil_images).sum(0) > 0].max())


@pytest.fixture(scope="session")
def simulate_scan() -> Callable[..., SimulatedScan]:
    return functools.cache(_simulate)


def _simulate(
    n_spokes: int,
    n_coils: int = 7,
    matrix: tuple[int, int] = (120, 96),
    noise: float = 0.05,
    shift: tuple[float, float] = (0.0, 0.0),
    phase_wraps: float = 0.3,
) -> SimulatedScan:
    """One frame; ``phase_wraps`` of the image's phase over the field of view."""
    fine = (_FINER * matrix[0], _FINER * matrix[1])
    y, x = ((np.arange(n) - n // 2) / n for n in fine)
    phase = 2 * np.pi * phase_wraps * (x - 0.5 * y[:, None] ** 2)
    coil_images = (
        _object(y[:, None] - shift[0], x - shift[1]) * np.exp(1j * phase) * _coils(y[:, None], x, n_coils)
    )
    trajectory = _trajectory(n_spokes, max(matrix))
    points = 2 * np.pi * trajectory.reshape(-1, 2).astype(np.float64)
    data = finufft.nufft2d2(
        points[:, 1] / fine[0], points[:, 0] / fine[1], coil_images, eps=1e-7, isign=-1
    ) / (_FINER**2 * np.sqrt(matrix[0] * matrix[1]))
    generator = np.random.default_rng(7)
    data += (
        noise * np.sqrt(0.5) * (generator.normal(size=data.shape) + 1j * generator.normal(size=data.shape))
    )
    kspace = KSpace(
        data=data.reshape(1, n_coils, n_spokes, -1).astype(np.complex64),
        trajectory=trajectory[None],
        matrix=matrix,
    )
    return SimulatedScan(kspace, coil_images[:, ::_FINER, ::_FINER])


def _object(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return sum(
        value * (((x - centre_x) / a) ** 2 + ((y - centre_y) / b) ** 2 <= 1)
        for value, a, b, centre_x, centre_y in _ELLIPSES
    )


def _coils(y: np.ndarray, x: np.ndarray, n_coils: int) -> np.ndarray:
    """In-plane dipoles on a ring that point at the isocentre, received with circular polarisation."""
    generator = np.random.default_rng(3)
    fields = []
    for angle in 2 * np.pi * (np.arange(n_coils) + generator.uniform(-0.3, 0.3, n_coils)) / n_coils:
        inward = -np.array([np.cos(angle), np.sin(angle)])
        from_x, from_y = x + 0.7 * inward[0], y + 0.7 * inward[1]
        squared = from_x**2 + from_y**2 + 0.15**2
        along = 3 * (from_x * inward[0] + from_y * inward[1])
        field = (along * from_x - inward[0] * squared) - 1j * (along * from_y - inward[1] * squared)
        fields.append(np.exp(2j * np.pi * generator.uniform()) * field / squared**2.5)
    coils = np.array(fields)
    return coils / np.sqrt((np.abs(coils) ** 2).sum(0).mean())


def _trajectory(n_spokes: int, n: int) -> np.ndarray:
    """(spoke, readout, 2), golden-angle spokes with twofold readout oversampling."""
    radius = (np.arange(2 * n) - n) / 2
    angle = GOLDEN_ANGLE * np.arange(n_spokes)[:, None]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)
