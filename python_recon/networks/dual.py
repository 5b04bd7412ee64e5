"""A small network of images and of their k-space, with virtual coils: the fast relative of Zero-MIRID."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from python_recon.networks.layers import from_kspace, to_kspace
from python_recon.networks.residual import ResidualCnn

_NEIGHBOURS = 7
"""Width, in samples, of the neighbourhood whose magnitude is the unit of a sample of k-space."""
_FLOOR = 1e-4
"""Of that unit, relative to the largest."""


class DualCnn(nn.Module):
    """Two :class:`ResidualCnn`, of component images and of their k-space; at first they change nothing.

    Each sees the images and their virtual-coil copies, the complex conjugates, whose k-space is the conjugate
    at the mirrored place; the changes of an image and of its copy are averaged (Cho et al.,
    arXiv:2308.05103). In k-space a sample is seen in the unit of its neighbourhood, so that its outer parts
    count; that is ours.

    Parameters
    ----------
    components
        (component, y, x) of the scan, for the units.
    width, layers, generator
        Of each network.
    """

    unit: torch.Tensor

    def __init__(self, components: torch.Tensor, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        magnitudes = components.abs().amax((-2, -1))
        self.register_buffer("unit", _neighbourhood(to_kspace(components)), persistent=False)
        self.of_images = ResidualCnn(magnitudes.repeat(2), width, layers, generator)
        self.of_kspace = ResidualCnn(torch.ones(2 * len(components)), width, layers, generator)

    def forward(self, components: torch.Tensor) -> torch.Tensor:
        """(component, y, x) complex to their change, of the same shape."""
        both = torch.cat([components, components.conj().resolve_conj()])
        unit = self.unit.repeat(2, 1, 1)
        change = self.of_images(both)
        change = change + from_kspace(unit * self.of_kspace(to_kspace(both) / unit))
        direct, mirrored = change.chunk(2)
        return (direct + mirrored.conj()) / 2


def _neighbourhood(kspace: torch.Tensor) -> torch.Tensor:
    """Root mean square of (component, y, x) around every sample, the same at mirrored places."""
    padding = _NEIGHBOURS // 2
    power = functional.avg_pool2d(
        kspace.abs().square()[None], _NEIGHBOURS, 1, padding, count_include_pad=False
    )[0]
    mirrored = torch.roll(power.flip(-2, -1), [1 - n % 2 for n in power.shape[-2:]], (-2, -1))
    unit = ((power + mirrored) / 2).sqrt()
    return unit + _FLOOR * unit.amax((-2, -1), keepdim=True) + 1e-30
