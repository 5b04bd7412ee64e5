"""The scans that are reconstructed: the analytic phantom, golden-angle spokes, noise."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.config import DensityConfig
from python_recon.data import CoilMaps, KSpace
from python_recon.operators.density import fill_density
from python_recon.operators.sense import data_weights
from python_recon.phantom import HeartPhantom

MATRIX = 192
N_COILS = 16
N_SAMPLES = 2 * MATRIX
REPETITION_TIME_S = 2.5e-3
"""400 readouts a second."""
NOISE = 0.03
"""Of the real and of the imaginary part, where blood is 1: that of ``gadgetron-pisco simulate``."""


@dataclass(frozen=True)
class Scene:
    """A scan, what is known of it, and the truth."""

    phantom: HeartPhantom
    n_frames: int
    n_spokes: int

    @property
    def name(self) -> str:
        return f"{self.n_frames} frame{'s' * (self.n_frames > 1)} of {self.n_spokes} spokes"

    @property
    def n_points(self) -> int:
        """Samples of one frame and coil."""
        return self.n_spokes * N_SAMPLES

    @functools.cached_property
    def kspace(self) -> KSpace:
        """NumPy arrays, density filled in."""
        n_all = self.n_frames * self.n_spokes
        trajectory, times = spokes(n_all), np.arange(n_all) * REPETITION_TIME_S
        data = received(self.phantom, trajectory, times, np.random.default_rng(1))
        by_frame = (self.n_frames, self.n_spokes)
        kspace = KSpace(
            data=np.ascontiguousarray(data.reshape(-1, *by_frame, N_SAMPLES).swapaxes(0, 1)),
            trajectory=trajectory.reshape(*by_frame, N_SAMPLES, 2),
            matrix=(MATRIX, MATRIX),
            spoke_times_s=times.reshape(by_frame),
            times_s=times.reshape(by_frame).mean(1),
        )
        return fill_density(kspace, DensityConfig())

    @functools.cached_property
    def tensors(self) -> KSpace:
        """The same memory as Torch tensors."""
        return self.kspace.to_torch()

    @functools.cached_property
    def maps(self) -> np.ndarray:
        """(coil, y, x) complex64, the true ones."""
        return self.phantom.coil_maps((MATRIX, MATRIX))

    @property
    def coil_maps(self) -> CoilMaps:
        return CoilMaps(torch.from_numpy(self.maps), "truth")

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """(frame, spoke, readout) float32 weights of the data term."""
        return data_weights(self.tensors).numpy()

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """(frame, y, x) complex64."""
        return self.phantom.reference(self.kspace.times_s, (MATRIX, MATRIX))

    @functools.cached_property
    def coil_images(self) -> np.ndarray:
        """(coil, y, x) complex64 of the first frame: fully sampled, no noise."""
        axis = np.arange(MATRIX) - MATRIX // 2.0
        grid = np.stack(np.meshgrid(axis, axis), -1)
        time = np.full(MATRIX, self.kspace.times_s[0])
        shifted = np.fft.ifftshift(self.phantom.kspace(grid, time), (1, 2))
        return np.fft.fftshift(np.fft.ifft2(shifted, norm="forward"), (1, 2))


def spokes(count: int) -> np.ndarray:
    """(spoke, readout, 2) float32 golden-angle trajectory in cycles per field of view."""
    angle = np.deg2rad(GOLDEN_ANGLE_DEG) * np.arange(count)[:, None]
    radius = (np.arange(N_SAMPLES) - N_SAMPLES // 2) / 2
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)


def received(
    phantom: HeartPhantom, trajectory: np.ndarray, times_s: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """(coil, spoke, readout) complex64 data with white noise."""
    data = MATRIX * phantom.kspace(trajectory, times_s)
    return data + white_noise(data.shape, generator)


def white_noise(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    parts = NOISE * generator.standard_normal((*shape, 2), np.float32)
    return parts.view(np.complex64)[..., 0]


@functools.cache
def scene(n_frames: int, n_spokes: int) -> Scene:
    return Scene(HeartPhantom(n_coils=N_COILS), n_frames, n_spokes)


def all_scenes() -> list[Scene]:
    """One sparse frame, one dense frame, a series."""
    return [scene(1, 34), scene(1, 400), scene(30, 34)]
