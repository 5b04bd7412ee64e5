"""A small convolutional network that says how images should change."""

from __future__ import annotations

import torch
from torch import nn

from python_recon.networks.layers import convolution, from_channels, to_channels

_OUTPUT = 0.1
"""Share at which the output counts, so that the first steps of a fit are small ones."""


class ResidualCnn(nn.Module):
    """3 x 3 layers with ReLU between them, from component images to their change, which at first is zero.

    Real and imaginary parts are channels. Every component is divided by its largest magnitude on the way in
    and multiplied by it on the way out: the weak ones, which hold the motion, count as much as the strong.

    Parameters
    ----------
    magnitudes
        (component,) the largest magnitude of each.
    width
        Channels of the inner layers.
    layers
        3 x 3 layers, from 2 on.
    generator
        Of the first weights.
    """

    magnitudes: torch.Tensor

    def __init__(self, magnitudes: torch.Tensor, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("magnitudes", magnitudes.clamp_min(1e-30)[:, None, None], persistent=False)
        channels = 2 * len(magnitudes)
        inner: list[nn.Module] = []
        for before in [channels, *[width] * (layers - 2)]:
            inner += [convolution(before, width, generator), nn.ReLU()]
        last = convolution(width, channels, generator)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*inner, last)

    def forward(self, components: torch.Tensor) -> torch.Tensor:
        """(component, y, x) complex to their change, of the same shape."""
        parts = to_channels(components / self.magnitudes)
        change = self.layers(parts[None].contiguous(memory_format=torch.channels_last))[0]
        return _OUTPUT * self.magnitudes * from_channels(change)
