"""Transforms of samples that lie on the Cartesian grid: plain FFTs, exact.

k counts modulo the matrix, as the exponentials at whole pixels do; a sample at N/2 is that at -N/2.
"""

from __future__ import annotations

import copy

import torch

_TOGETHER = {"cpu": 1, "cuda": 16}
"""Frames that are transformed at once: on a CPU they are done side by side."""


def is_on_grid(trajectory: torch.Tensor) -> bool:
    """Whether all samples of a trajectory (..., 2) lie at whole cycles per field of view."""
    return bool((trajectory == trajectory.round()).all())


def cells_of(trajectory: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Index (...) of each sample in the flattened spectrum (ky, kx) of an FFT."""
    x, y = trajectory.long().unbind(-1)
    return (y % matrix[0]) * matrix[1] + x % matrix[1]


class GridPlan:
    """Torch tensors on any device."""

    def __init__(self, trajectory: torch.Tensor, matrix: tuple[int, int], _tolerance: float) -> None:
        self._shape = tuple(int(n) for n in trajectory.shape[1:3])
        self._matrix, self._cells = matrix, cells_of(trajectory, matrix).flatten(1)
        self.together = _TOGETHER[trajectory.device.type]

    def of_frames(self, part: slice) -> GridPlan:
        some = copy.copy(self)
        some._cells = self._cells[part]
        return some

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        spectra = torch.fft.fft2(torch.fft.ifftshift(images, (-2, -1)), norm="ortho").flatten(2)
        samples = [spectrum[:, cells] for spectrum, cells in zip(spectra, self._cells, strict=True)]
        return torch.stack(samples).unflatten(2, self._shape)  # type: ignore[no-untyped-call]

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        spectra = kspace.new_zeros(*kspace.shape[:2], self._matrix[0] * self._matrix[1])
        for spectrum, samples, cells in zip(spectra, kspace.flatten(2), self._cells, strict=True):
            spectrum.index_add_(1, cells, samples)
        images = torch.fft.ifft2(spectra.unflatten(2, self._matrix), norm="ortho")  # type: ignore[no-untyped-call]
        return torch.fft.fftshift(images, (-2, -1))
