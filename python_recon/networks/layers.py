"""Layers with a reproducible start, and complex images as channels."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import skip_init


def convolution(
    n_in: int, n_out: int, generator: torch.Generator, *, size: int = 3, has_bias: bool = True
) -> nn.Conv2d:
    """Weights that keep the signal's energy through a ReLU (He et al., arXiv:1502.01852), biases of zero."""
    # skip_init: the usual start would draw from the global generator and change what others draw.
    layer: nn.Conv2d = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, n_in, n_out, size, padding=size // 2, bias=has_bias
    )
    bound = math.sqrt(6 / (size * size * n_in))
    nn.init.uniform_(layer.weight, -bound, bound, generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def to_channels(images: torch.Tensor) -> torch.Tensor:
    """Complex (..., image, y, x) to real (..., 2 image, y, x): real and imaginary part of each."""
    return torch.view_as_real(images).movedim(-1, -3).flatten(-4, -3)


def from_channels(channels: torch.Tensor) -> torch.Tensor:
    """The way back."""
    pairs = channels.reshape(*channels.shape[:-3], -1, 2, *channels.shape[-2:]).movedim(-3, -1)
    return torch.view_as_complex(pairs.contiguous())


def to_kspace(images: torch.Tensor) -> torch.Tensor:
    """Centred unitary Fourier transform of (..., y, x)."""
    axes = (-2, -1)
    shifted = torch.fft.ifftshift(images, axes)
    return torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), axes)


def from_kspace(kspace: torch.Tensor) -> torch.Tensor:
    """The way back."""
    axes = (-2, -1)
    shifted = torch.fft.ifftshift(kspace, axes)
    return torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), axes)
