"""The peers' NUFFTs behind one interface, with their settings as their users would choose them for speed.

All of them take (frame, coil, y, x) and (frame, coil, spoke, readout) NumPy arrays in the conventions of
``python_recon.data``, and keep between calls what they can keep.
"""

from __future__ import annotations

import warnings

import numpy as np
import sigpy
import torch
import torchkbnufft as tkbn

from python_recon.data import KSpace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mrinufft.operators.interfaces.finufft import MRIfinufft

TOLERANCE = 1e-3
"""Where it can be chosen: that of our own operators."""
OVERSAMPLED_SCALE = np.float32(2)
"""torchkbnufft and mri-nufft divide by the root of the doubled grid's size, not of the matrix's."""


class Sigpy:
    """sigpy: kernels in Numba, nothing kept."""

    def __init__(self, kspace: KSpace) -> None:
        self._trajectory, self._matrix = kspace.trajectory[..., ::-1].copy(), kspace.matrix

    def forward(self, images: np.ndarray) -> np.ndarray:
        return np.stack([sigpy.nufft(*pair) for pair in zip(images, self._trajectory, strict=True)])

    def adjoint(self, kspace: np.ndarray) -> np.ndarray:
        shape = (kspace.shape[1], *self._matrix)
        pairs = zip(kspace, self._trajectory, strict=True)
        return np.stack([sigpy.nufft_adjoint(frame, points, shape) for frame, points in pairs])


class TorchKbNufft:
    """torchkbnufft: kernel tables, all frames in one call."""

    def __init__(self, kspace: KSpace) -> None:
        self.points = radians(kspace)
        self._shape = tuple(kspace.trajectory.shape[1:3])
        self._forward = tkbn.KbNufft(kspace.matrix).to(torch.complex64)
        self._adjoint = tkbn.KbNufftAdjoint(kspace.matrix).to(torch.complex64)

    def forward(self, images: np.ndarray) -> np.ndarray:
        samples = self._forward(torch.from_numpy(images), self.points, norm="ortho")
        return samples.mul_(float(OVERSAMPLED_SCALE)).unflatten(-1, self._shape).numpy()

    def adjoint(self, kspace: np.ndarray) -> np.ndarray:
        images = self._adjoint(torch.from_numpy(kspace).flatten(2), self.points, norm="ortho")
        return images.mul_(float(OVERSAMPLED_SCALE)).numpy()


class MriNufft:
    """mri-nufft with its finufft backend: one operator a frame, all coils in one transform."""

    def __init__(self, kspace: KSpace) -> None:
        self._shape = tuple(kspace.trajectory.shape[1:3])
        n_coils = kspace.data.shape[1]
        self._operators = [mri_nufft(frame, kspace.matrix, n_coils) for frame in kspace.trajectory]

    def forward(self, images: np.ndarray) -> np.ndarray:
        pairs = zip(self._operators, images, strict=True)
        samples = np.stack([operator.op(frame) for operator, frame in pairs])
        samples *= OVERSAMPLED_SCALE
        return samples.reshape(*samples.shape[:2], *self._shape)

    def adjoint(self, kspace: np.ndarray) -> np.ndarray:
        flat = kspace.reshape(*kspace.shape[:2], -1)
        pairs = zip(self._operators, flat, strict=True)
        images = np.stack([operator.adj_op(frame) for operator, frame in pairs])
        images *= OVERSAMPLED_SCALE
        return images


def mri_nufft(trajectory: np.ndarray, matrix: tuple[int, int], n_coils: int, **options: object) -> MRIfinufft:
    """Operator of one frame, its coils transformed together."""
    points = 2 * np.pi * trajectory.reshape(-1, 2)[:, ::-1] / np.array(matrix, np.float32)
    settings = {"n_coils": n_coils, "n_trans": n_coils, "eps": TOLERANCE, **options}
    return MRIfinufft(points.astype(np.float32), matrix, **settings)


def radians(kspace: KSpace) -> torch.Tensor:
    """(frame, 2, sample) float32 radians per pixel, y first, as torchkbnufft wants them."""
    points = kspace.trajectory.reshape(kspace.n_frames, -1, 2)[..., ::-1] / np.array(kspace.matrix)
    return torch.from_numpy(np.ascontiguousarray(2 * np.pi * points.swapaxes(1, 2), np.float32))
