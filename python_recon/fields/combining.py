"""From a field of k-space to images: its Cartesian query, transformed and combined with the coil maps."""

from __future__ import annotations

import torch

from python_recon.fields.field import KSpaceField, SeparableField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.resampling import resample_maps
from python_recon.fields.view import View
from python_recon.judging.judge import Signal
from python_recon.losses.tiles import grid_axis
from python_recon.operators.sense import combine


class Combination:
    """Makes images of the values of a field at the places that it asks for.

    Parameters
    ----------
    maps
        (coil, y, x) coil maps of the scan.
    view
        What is seen of the field of view, on which matrix.
    """

    def __init__(self, maps: torch.Tensor, view: View) -> None:
        matrix, measured = view.matrix, (maps.shape[-2], maps.shape[-1])
        grid = _grid(matrix, measured).to(maps.device)
        self._view, self._maps = view, view.cut(resample_maps(maps, matrix))
        self._reached = (torch.linalg.vector_norm(grid, dim=-1) < 1).flatten().nonzero()[:, 0]
        self._factor = (matrix[0] * matrix[1] / (measured[0] * measured[1])) ** 0.5
        self.places = grid.flatten(0, 1)[self._reached]
        """(point, 2) of the Cartesian grid, in the disc that the spokes reach."""

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Images (image, y, x) of values (image, point, coil) at the places."""
        rows, columns = self._view.matrix
        shape = (len(values), values.shape[-1], rows * columns)
        kspace = torch.zeros(shape, dtype=values.dtype, device=values.device)
        kspace[:, :, self._reached] = values.transpose(1, 2)
        shifted = torch.fft.ifftshift(kspace.unflatten(-1, (rows, columns)), (-2, -1))  # type: ignore[no-untyped-call]
        coil_images = torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), (-2, -1))
        return self._factor * combine(self._view.cut(coil_images), self._maps)


@torch.no_grad()
def image_signal(net: KSpaceField, maps: torch.Tensor) -> Signal:
    """The signal of a field's images: that of the field without what the coil maps do not allow.

    A field that is not separable is taken as it is; it would have to be imaged anew at every moment.

    Parameters
    ----------
    maps
        (coil, y, x) coil maps of the scan.
    """
    if not isinstance(net, SeparableField):
        return net
    combination = Combination(maps, View.whole((maps.shape[-2], maps.shape[-1])))
    components = combination(net.components(combination.places).transpose(0, 1))
    return LowRankStart(components, maps, net.temporal).signal  # type: ignore[arg-type]  # any functions of t


def _grid(matrix: tuple[int, int], measured: tuple[int, int]) -> torch.Tensor:
    """Cartesian coordinates (y, x, 2) of a matrix, in units of the measured k-space."""
    y, x = (grid_axis(n) * (n / old) for n, old in zip(matrix, measured, strict=True))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
