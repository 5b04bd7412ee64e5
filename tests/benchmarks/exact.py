"""Oracles in double precision that share nothing with the operators under test."""

from __future__ import annotations

import finufft
import numpy as np

_POINTS_AT_ONCE = 4096


def dft(images: np.ndarray, trajectory: np.ndarray) -> np.ndarray:
    """(coil, spoke, readout) complex128 signal of (coil, y, x) images: the sum of ``python_recon.data``."""
    points = trajectory.reshape(-1, 2).astype(np.float64)
    samples = np.empty((len(images), len(points)), np.complex128)
    for part, waves_y, waves_x in _waves(points, images.shape[1:]):
        along = images.astype(np.complex128) @ waves_x.T
        samples[:, part] = np.einsum("py,cyp->cp", waves_y, along)
    return samples.reshape(len(images), *trajectory.shape[:2])


def adjoint_dft(kspace: np.ndarray, trajectory: np.ndarray, matrix: tuple[int, int]) -> np.ndarray:
    """(coil, y, x) complex128 images of (coil, spoke, readout) samples: the adjoint of :func:`dft`."""
    points = trajectory.reshape(-1, 2).astype(np.float64)
    samples = kspace.reshape(len(kspace), -1).astype(np.complex128)
    images = np.zeros((len(kspace), *matrix), np.complex128)
    for part, waves_y, waves_x in _waves(points, matrix):
        images += waves_y.conj().T @ (samples[:, part, None] * waves_x.conj())
    return images


def _waves(points, matrix):
    scale = 1 / np.sqrt(matrix[0] * matrix[1])
    y, x = (np.arange(n) - n // 2 for n in matrix)
    for start in range(0, len(points), _POINTS_AT_ONCE):
        part = slice(start, start + _POINTS_AT_ONCE)
        kx, ky = points[part].T
        waves_y = np.exp(-2j * np.pi / matrix[0] * ky[:, None] * y)
        yield part, scale * waves_y, np.exp(-2j * np.pi / matrix[1] * kx[:, None] * x)


def cg_sense(
    kspace: np.ndarray,
    trajectory: np.ndarray,
    weights: np.ndarray,
    maps: np.ndarray,
    regularisation: float,
    iterations: int,
) -> list[np.ndarray]:
    """Iterates (y, x) complex128 of weighted SENSE of one frame by conjugate gradients from zero.

    The NUFFT is finufft's in double precision at 1e-10, applied anew in each iteration.
    """
    n_y, n_x = maps.shape[1:]
    points = trajectory.reshape(-1, 2).astype(np.float64)
    place = 2 * np.pi * points[:, 1] / n_y, 2 * np.pi * points[:, 0] / n_x
    maps, weights = maps.astype(np.complex128), weights.ravel().astype(np.float64)
    scale = 1 / (n_y * n_x)

    def adjoint(samples: np.ndarray) -> np.ndarray:
        images = finufft.nufft2d1(*place, samples, (n_y, n_x), eps=1e-10, isign=1)
        return (maps.conj() * images).sum(0)

    def normal(image: np.ndarray) -> np.ndarray:
        samples = finufft.nufft2d2(*place, maps * image, eps=1e-10, isign=-1)
        return scale * adjoint(weights * samples) + regularisation * image

    right_side = np.sqrt(scale) * adjoint(weights * kspace.reshape(len(maps), -1).astype(np.complex128))
    return _conjugate_gradient(normal, right_side, iterations)


def _conjugate_gradient(normal, right_side, iterations):
    solution, residual, iterates = np.zeros_like(right_side), right_side, []
    direction, power = residual, np.vdot(residual, residual).real
    for _ in range(iterations):
        applied = normal(direction)
        length = power / np.vdot(direction, applied).real
        solution = solution + length * direction
        residual = residual - length * applied
        iterates.append(solution)
        new_power = np.vdot(residual, residual).real
        direction, power = residual + new_power / power * direction, new_power
    return iterates
