"""A small convolutional network that says how images should change."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import skip_init

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
            inner += [_convolution(before, width, generator), nn.ReLU()]
        last = _convolution(width, channels, generator)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*inner, last)

    def forward(self, components: torch.Tensor) -> torch.Tensor:
        """(component, y, x) complex to their change, of the same shape."""
        parts = torch.view_as_real(components / self.magnitudes).movedim(-1, 1).flatten(0, 1)
        change = self.layers(parts[None].contiguous(memory_format=torch.channels_last))[0]
        pairs = change.unflatten(0, (-1, 2)).movedim(1, -1).contiguous()
        return _OUTPUT * self.magnitudes * torch.view_as_complex(pairs)


def _convolution(n_in: int, n_out: int, generator: torch.Generator) -> nn.Conv2d:
    """Weights that keep the signal's energy through a ReLU (He et al., arXiv:1502.01852), biases of zero."""
    # skip_init: the usual start would draw from the global generator and change what others draw.
    layer: nn.Conv2d = skip_init(nn.Conv2d, n_in, n_out, 3, padding=1)  # type: ignore[no-untyped-call]
    bound = math.sqrt(6 / (9 * n_in))
    nn.init.uniform_(layer.weight, -bound, bound, generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
