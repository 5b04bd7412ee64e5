"""Still Cartesian scans and radial cines, from another forward model than the one that reconstructs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from python_recon.data import CoilMaps, KSpace, NoiseLevel
from python_recon.phantom import HeartPhantom
from tests.numerics import cartesian_grid, complex_noise, scan_heart

CENTRE = 20
"""Lines, or width of the square of points, that are sampled fully and give the coil maps."""


@dataclass(frozen=True)
class Scene:
    """A prepared scan, as a method receives it, and its truth."""

    kspace: KSpace
    maps: CoilMaps
    truth: np.ndarray
    """(frame, y, x)."""
    acceleration: float


def lines(matrix: tuple[int, int], seed: int) -> np.ndarray:
    """(y, x) bool: every fourth line, its offset by chance, and the centre: 1D undersampling."""
    ky = np.arange(matrix[0])
    kept = (ky % 4 == seed % 4) | (np.abs(ky - matrix[0] // 2) < CENTRE // 2)
    return np.broadcast_to(kept[:, None], matrix)


def caipi(matrix: tuple[int, int], seed: int) -> np.ndarray:
    """(y, x) bool: one of 3 x 2 points, columns shifted from row to row, and the centre: 2D undersampling."""
    ky, kx = np.meshgrid(*map(np.arange, matrix), indexing="ij")
    kept = (ky % 3 == seed % 3) & ((kx + ky // 3) % 2 == 0)
    inner = np.maximum(*(np.abs(k - n // 2) for k, n in zip((ky, kx), matrix, strict=True)))
    return kept | (inner < CENTRE // 2)


PATTERNS = {"1D": lines, "2D CAIPI": caipi}


@functools.cache
def still(
    pattern: str, seed: int, matrix: tuple[int, int] = (128, 128), n_coils: int = 8, noise: float = 0.02
) -> Scene:
    """A textured slice at rest, with noise on every sample, and maps from its own centre."""
    phantom = HeartPhantom(
        n_coils=n_coils, contraction=0, breathing_amplitude_mm=0, contrast=0, texture=0.15, seed=seed
    )
    grid, mask = cartesian_grid(matrix), PATTERNS[pattern](matrix, seed)
    clean = np.sqrt(matrix[0] * matrix[1]) * phantom.kspace(grid[0], np.zeros(matrix[0]))[None]
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(clean[0], (1, 2)), norm="ortho"), (1, 2))
    truth = (phantom.coil_maps(matrix).conj() * images).sum(0)[None]
    data = mask * (clean + noise * complex_noise(clean.shape, 100 + seed))
    kspace = KSpace(
        data=data.astype(np.complex64),
        trajectory=grid,
        matrix=matrix,
        encoding="cartesian",
        density=mask[None].astype(np.float32),
        noise=NoiseLevel(noise, is_measured=True),
    )
    rows = mask.any(1)  # lines that were not measured are not there
    kspace = replace(
        kspace, data=kspace.data[:, :, rows], trajectory=grid[:, rows], density=kspace.density[:, rows]
    )
    maps = estimate(kspace, CoilConfig(maps="espirit", calibration_width=CENTRE))
    return Scene(kspace, maps, truth, mask.size / mask.sum())


@functools.cache
def cine(seed: int, matrix: tuple[int, int] = (64, 64), noise: float = 0.03) -> Scene:
    """A textured heart that beats and breathes, 13 golden-angle spokes a frame."""
    scan = scan_heart(16, 13, 8, matrix, noise=noise, texture=0.15, seed=seed)
    maps = estimate(scan.kspace, CoilConfig())
    return Scene(scan.kspace, maps, scan.truth, np.pi / 2 * max(matrix) / 13)
