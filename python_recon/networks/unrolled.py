"""Unrolled networks with shared weights, as they were published.

ZS-SSL (Yaman et al., arXiv:2102.07737): ``z = R(x)``, then the images that agree with the data best beside
``mu |x - z|^2``, ten times. Zero-MIRID (Cho et al., arXiv:2308.05103): two denoisers, one of images and one
of their k-space, and beside every image its virtual-coil copy, the complex conjugate, whose k-space is that
of the conjugate coils at the mirrored places.

Data consistency is solved by conjugate gradients and differentiated implicitly; the authors differentiate
through the iterations.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import nn

from python_recon.networks.data_consistency import agreed
from python_recon.networks.layers import convolution, from_channels, from_kspace, to_channels, to_kspace
from python_recon.solvers.cg import Operator

_RESIDUAL = 0.1
"""Share at which a block of the ResNet counts."""
_LEAK = 0.3

Unrolled: TypeAlias = "UnrolledResNet | UnrolledMirid"


class ResNet(nn.Module):
    """The regulariser of ZS-SSL and SSDU: 15 blocks of 64 channels, no bias, no normalisation."""

    def __init__(self, generator: torch.Generator, width: int = 64, blocks: int = 15) -> None:
        super().__init__()

        def layer(n_in: int, n_out: int) -> nn.Conv2d:
            return convolution(n_in, n_out, generator, has_bias=False)

        self.first, self.last = layer(2, width), layer(width, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(layer(width, width), nn.ReLU(), layer(width, width)) for _ in range(blocks)
        )
        self.joining = layer(width, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(frame, y, x) complex to the same; every frame by itself."""
        first = self.first(to_channels(images[:, None]))
        features = first
        for block in self.blocks:
            features = features + _RESIDUAL * block(features)
        return from_channels(self.last(self.joining(features) + first))[:, 0]


class Denoiser(nn.Module):
    """Of Zero-MIRID: 3 x 3 convolutions with normalisation and leaky ReLU, and a 1 x 1 one; adds its output.

    Normalised by the statistics of the images themselves, in the fit as after it: with one slice to learn
    from there are no others.
    """

    def __init__(self, n_images: int, generator: torch.Generator, width: int = 46, layers: int = 16) -> None:
        super().__init__()
        inner: list[nn.Module] = []
        for n_in in [2 * n_images, *[width] * (layers - 1)]:
            inner += [
                convolution(n_in, width, generator),
                nn.BatchNorm2d(width, track_running_stats=False),
                nn.LeakyReLU(_LEAK),
            ]
        self.layers = nn.Sequential(*inner, convolution(width, 2 * n_images, generator, size=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(frame, image, y, x) complex, the images of a frame seen together, to the same."""
        return images + from_channels(self.layers(to_channels(images)))


class UnrolledResNet(nn.Module):
    """ZS-SSL; 1,145,089 parameters as published.

    Parameters
    ----------
    unrolls, iterations
        Of the network, and of the conjugate gradients in each of them.
    """

    def __init__(
        self, generator: torch.Generator, unrolls: int = 10, iterations: int = 10, width: int = 64,
        blocks: int = 15,
    ) -> None:  # fmt: skip
        super().__init__()
        self.regulariser = ResNet(generator, width, blocks)
        self.log_mu = nn.Parameter(torch.tensor(math.log(0.05)))
        self._unrolls, self._iterations = unrolls, iterations

    def forward(self, gram: Operator, right_side: torch.Tensor) -> torch.Tensor:
        """Images (frame, y, x) from the right side, ``A^H y``, where they begin."""
        images, mu = right_side, self.log_mu.exp()
        for _ in range(self._unrolls):
            images = agreed(gram, right_side, self.regulariser(images), mu, self._iterations)
        return images


class UnrolledMirid(nn.Module):
    """Zero-MIRID; with the two shots of the publication 2 x 291,556 parameters and the two weights.

    Parameters
    ----------
    n_shots
        Frames that are seen together, each with its virtual-coil copy.
    unrolls, iterations
        Of the network, and of the conjugate gradients in each of them.
    """

    def __init__(
        self, generator: torch.Generator, n_shots: int = 1, unrolls: int = 10, iterations: int = 10,
        width: int = 46, layers: int = 16,
    ) -> None:  # fmt: skip
        super().__init__()
        self.of_images = Denoiser(2 * n_shots, generator, width, layers)
        self.of_kspace = Denoiser(2 * n_shots, generator, width, layers)
        self.log_weights = nn.Parameter(torch.full((2,), math.log(0.03)))
        self._n_shots, self._unrolls, self._iterations = n_shots, unrolls, iterations

    def forward(self, gram: Operator, right_side: torch.Tensor) -> torch.Tensor:
        """Images (frame, y, x) from the right side, ``A^H y``, where they begin."""
        weights = self.log_weights.exp()
        mu, halves = weights.sum(), (right_side, right_side)
        for _ in range(self._unrolls):
            priors = self._priors(*halves, weights / mu)
            direct, mirrored = (agreed(gram, right_side, prior, mu, self._iterations) for prior in priors)
            halves = direct, mirrored
        return (halves[0] + halves[1]) / 2

    def _priors(
        self, direct: torch.Tensor, mirrored: torch.Tensor, parts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the images and of the copies, both as images."""
        both = torch.stack([self._shots(direct), self._shots(mirrored).conj()], 1).flatten(1, 2)
        denoised = parts[0] * self.of_images(both)
        denoised = denoised + parts[1] * from_kspace(self.of_kspace(to_kspace(both)))
        first, second = denoised.split(self._n_shots, 1)
        return first.reshape(direct.shape), second.conj().resolve_conj().reshape(direct.shape)

    def _shots(self, images: torch.Tensor) -> torch.Tensor:
        """(group of shots, shot, y, x)."""
        return images.reshape(-1, self._n_shots, *images.shape[1:])
