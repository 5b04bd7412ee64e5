"""What numerical tests share: an explicit Fourier transform, adjointness, and scans of the heart phantom."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from python_recon.acquisition.noise_level import with_noise
from python_recon.acquisition.radial.density import ramp_density
from python_recon.data import CoilMaps, KSpace, NoiseLevel
from python_recon.evaluation.metrics import match_scale, psnr
from python_recon.methods.registry import Reconstruction, resolve
from python_recon.phantom import HeartPhantom
from python_recon.resources.schedule import Budget

GOLDEN_ANGLE_DEG = 180 * (5**0.5 - 1) / 2


def complex_noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Complex64 noise of variance 2."""
    return np.random.default_rng(seed).normal(size=(*shape, 2)).view(complex)[..., 0].astype(np.complex64)


def golden_spokes(n_frames: int, n_spokes: int, n_samples: int, matrix: tuple[int, int]) -> np.ndarray:
    """(frame, spoke, readout, 2) golden-angle spokes that reach the edges of k-space of a matrix (y, x)."""
    angle = np.deg2rad(GOLDEN_ANGLE_DEG * np.arange(n_frames * n_spokes))
    position = (np.arange(n_samples) - n_samples // 2) / n_samples
    direction = np.stack([matrix[1] * np.cos(angle), matrix[0] * np.sin(angle)], -1)
    trajectory = position[:, None] * direction[:, None]
    return trajectory.reshape(n_frames, n_spokes, n_samples, 2).astype(np.float32)


def cartesian_grid(matrix: tuple[int, int]) -> np.ndarray:
    """(1, y, x, 2): the rows of the Cartesian grid as spokes."""
    ky, kx = np.meshgrid(*(np.arange(n) - n // 2 for n in matrix), indexing="ij")
    return np.stack([kx, ky], -1)[None].astype(np.float32)


def dft_matrix(trajectory: np.ndarray, matrix: tuple[int, int]) -> np.ndarray:
    """(sample, pixel) complex128: the definition of the signal in ``python_recon.data``, term by term."""
    y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in matrix), indexing="ij")
    k = np.asarray(trajectory, np.float64).reshape(-1, 2)
    cycles = np.outer(k[:, 0], x.ravel() / matrix[1]) + np.outer(k[:, 1], y.ravel() / matrix[0])
    return np.exp(-2j * np.pi * cycles) / np.sqrt(matrix[0] * matrix[1])


def dft(images: np.ndarray, trajectory: np.ndarray) -> np.ndarray:
    """Exact (frame, coil, spoke, readout) of images (frame, coil, y, x)."""
    frames = [
        (frame.reshape(len(frame), -1) @ dft_matrix(spokes, frame.shape[1:]).T).reshape(
            len(frame), *spokes.shape[:2]
        )
        for frame, spokes in zip(images.astype(complex), trajectory, strict=True)
    ]
    return np.stack(frames)


def adjoint_dft(kspace: np.ndarray, trajectory: np.ndarray, matrix: tuple[int, int]) -> np.ndarray:
    """Exact adjoint of :func:`dft`."""
    frames = [
        (frame.reshape(len(frame), -1) @ dft_matrix(spokes, matrix).conj()).reshape(len(frame), *matrix)
        for frame, spokes in zip(kspace.astype(complex), trajectory, strict=True)
    ]
    return np.stack(frames)


def relative_error(result: object, expected: object) -> float:
    """Norm of the error over the norm of what is expected."""
    result, expected = as_numpy(result).astype(complex), as_numpy(expected).astype(complex)
    assert result.shape == expected.shape
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


def assert_adjoint(
    forward: Callable,
    adjoint: Callable,
    domain: tuple[int, ...],
    codomain: tuple[int, ...],
    convert: Callable = np.asarray,
    tolerance: float = 1e-5,
) -> None:
    """``<forward(x), y> = <x, adjoint(y)>`` for random x and y, relative to the product of the norms."""
    x, y = convert(complex_noise(domain, 11)), convert(complex_noise(codomain, 12))
    forward_x, adjoint_y = forward(x), adjoint(y)
    assert tuple(forward_x.shape) == codomain
    assert tuple(adjoint_y.shape) == domain
    x, y, forward_x, adjoint_y = (as_numpy(a).astype(complex).ravel() for a in (x, y, forward_x, adjoint_y))
    scale = np.linalg.norm(forward_x) * np.linalg.norm(y)
    assert abs(np.vdot(y, forward_x) - np.vdot(adjoint_y, x)) < tolerance * scale


def dense(operator: Callable, shape: tuple[int, ...], convert: Callable) -> np.ndarray:
    """Complex128 matrix of an operator on (system, ...) arrays: its columns are the images of unit vectors.

    The operator is called with one array of ``shape`` at a time.
    """
    n = int(np.prod(shape))
    units = np.eye(n, dtype=np.complex64).reshape(n, *shape)
    return np.stack([as_numpy(operator(convert(unit))).ravel() for unit in units], 1).astype(complex)


def as_numpy(array: object) -> np.ndarray:
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # CuPy
        return array.get()
    return array.detach().cpu().resolve_conj().numpy()


@dataclass(frozen=True)
class HeartScan:
    """A radial scan of the phantom, as a method receives it."""

    phantom: HeartPhantom
    kspace: KSpace
    """NumPy arrays, noise added, density filled in."""
    maps: CoilMaps
    truth: np.ndarray
    """(frame, y, x), at the resolution of the scan, of every ``truth_every``-th frame."""
    truth_every: int = 1

    def psnr(self, images: object) -> float:
        """PSNR in dB against the truth, after the scale was matched."""
        chosen = as_numpy(images)[:: self.truth_every]
        return psnr(match_scale(chosen, self.truth), self.truth)


@functools.cache
def scan_heart(
    n_frames: int = 16,
    n_spokes: int = 13,
    n_coils: int = 5,
    matrix: tuple[int, int] = (64, 64),
    noise: float = 0.03,
    spacing_s: float = 0.003,
    truth_every: int = 1,
    **phantom: float,
) -> HeartScan:
    """Golden-angle scan of the heart; ``noise`` is that of a k-space sample's parts, blood being 1."""
    heart = HeartPhantom(n_coils=n_coils, **phantom)
    trajectory = golden_spokes(n_frames, n_spokes, 2 * matrix[1], matrix)
    times_s = (spacing_s * np.arange(n_frames * n_spokes)).reshape(n_frames, n_spokes)
    data = [heart.kspace(*frame) for frame in zip(trajectory, times_s, strict=True)]
    data = np.sqrt(matrix[0] * matrix[1]) * np.stack(data)
    centres_s = times_s.mean(1)
    kspace = KSpace(
        data=(data + noise * complex_noise(data.shape, 21)).astype(np.complex64),
        trajectory=trajectory,
        matrix=matrix,
        noise=NoiseLevel(noise, is_measured=True),
        spoke_times_s=times_s,
        times_s=centres_s,
        physiology_s=np.stack(
            [heart.time_since_r_wave_s(times_s[:, n_spokes // 2]), 0 * centres_s, 0 * centres_s], 1
        ),
    )
    return HeartScan(
        heart,
        replace(kspace, density=ramp_density(kspace)),
        CoilMaps(heart.coil_maps(matrix), "phantom"),
        heart.reference(centres_s[::truth_every], matrix),
        truth_every,
    )


def scaled(kspace: KSpace, factor: complex) -> KSpace:
    """The same scan in another unit, its noise, too."""
    noise = None if kspace.noise is None else replace(kspace.noise, std=abs(factor) * kspace.noise.std)
    return replace(kspace, data=(factor * kspace.data).astype(np.complex64), noise=noise)


def run_method(
    name: str,
    kspace: KSpace,
    maps: CoilMaps,
    device: str = "cpu",
    budget: Budget | None = None,
    **options: float,
) -> Reconstruction:
    """A method by the name of its preset, as the ladder runs it."""
    import torch

    method, validated = resolve(name, options)
    with torch.no_grad():
        kspace = with_noise(kspace).to_torch(device)
        result = method.run(kspace, maps.to_torch(device), validated, budget or Budget())
        return replace(result, images=torch.cat([result.images, *result.later]), later=())


def told_share(result: Reconstruction) -> str:
    """What a comment says of images that are the sum of a start and a share of a network."""
    if result.state.start is None:
        return ""
    shares = result.details["shares"]
    if not any(shares):
        return "the network does not improve held-out spokes: these are the images of its start"
    return f"subspace + {100 * sum(shares) / len(shares):.2g} % network"


def budget_of_steps(n_steps: int) -> Budget:
    """A budget that is spent after that many steps at most, on any machine."""
    seconds = 0.02
    return Budget(n_steps * seconds, report=lambda _stage, _done: time.sleep(seconds))
