"""Encodings of k-space and time: what a network sees in place of bare coordinates.

Coordinates k are (kx, ky), scaled so that [-1, 1] spans the -N/2..N/2 cycles per field of view of a matrix N.
Frequencies are in cycles per unit of k: a point of the object at p pixels from the isocentre makes k-space
oscillate as ``exp(-i pi p k)``, which is the frequency p / 2.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from python_recon.errors import ShapeError

_STATIC_SHARE = 0.75
"""Of the features of :class:`Stiff`."""


class FourierFeatures(nn.Module):
    """``[cos(2 pi B v), sin(2 pi B v)]`` with fixed frequencies B; no parameters.

    Tancik et al., arXiv:2006.10739; in k-space Huang et al., arXiv:2212.08479.

    Parameters
    ----------
    frequencies
        B, (frequency, dimension), cycles per unit of the coordinates.

    Raises
    ------
    ShapeError
        If B is not a matrix.
    """

    frequencies: torch.Tensor

    def __init__(self, frequencies: torch.Tensor) -> None:
        super().__init__()
        if frequencies.ndim != 2:
            raise ShapeError(
                f"the frequencies have shape {tuple(frequencies.shape)}, expected (frequency, dimension)"
            )
        self.register_buffer("frequencies", frequencies)
        self.n_features = 2 * len(frequencies)

    @classmethod
    def from_normal(
        cls, n_frequencies: int, sigma: float, generator: torch.Generator, n_dims: int = 2
    ) -> FourierFeatures:
        """Frequencies drawn from N(0, sigma^2), as published."""
        normal = torch.randn(n_frequencies, n_dims, generator=generator, device=generator.device)
        return cls(sigma * normal)

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        """(..., dimension) -> (..., 2 * frequency): all cosines, then all sines."""
        n_dims = self.frequencies.shape[1]
        if coordinates.shape[-1] != n_dims:
            raise ShapeError(
                f"coordinates of {coordinates.shape[-1]} dimensions, the frequencies have {n_dims}"
            )
        # Not a matrix product: autocast and TF32 would round the phases, which reach hundreds of radians.
        cycles = coordinates[..., :1] * self.frequencies[:, 0]
        for axis in range(1, n_dims):
            cycles = cycles + coordinates[..., axis, None] * self.frequencies[:, axis]
        phase = 2 * math.pi * cycles
        return torch.cat([phase.cos(), phase.sin()], -1)


class Stiff(nn.Module):
    """Spatio-temporal encoding: static features of k, and dynamic ones times functions of time.

    ``[F_s(k), F_d(k) x g(t)]`` with Fourier features F_s and F_d and the outer product x; no parameters.
    Published with g(t) = {cos, sin}(2 pi t) and three quarters of the features static (Spieker et al.,
    doi:10.1016/j.media.2025.103890). That g forces the first and the last moment to be equal; here g is
    whatever functions are given, as :class:`~python_recon.fields.time_axis.TemporalHarmonics` makes them.

    Parameters
    ----------
    static, dynamic
        Features of k.
    n_temporal
        Number of functions of time.
    """

    def __init__(self, static: FourierFeatures, dynamic: FourierFeatures, n_temporal: int) -> None:
        super().__init__()
        self.static, self.dynamic = static, dynamic
        self.n_temporal = n_temporal
        self.n_features = static.n_features + dynamic.n_features * n_temporal

    @classmethod
    def from_normal(
        cls,
        n_features: int,
        sigma: float,
        generator: torch.Generator,
        n_temporal: int = 2,
    ) -> Stiff:
        """Frequencies from N(0, sigma^2); the static features take the share that rounding leaves.

        512 features and two functions of time are the published 192 static and 32 dynamic frequencies.
        """
        # At least one of each, or few features would know nothing of time.
        n_dynamic = max(round((1 - _STATIC_SHARE) * n_features / (2 * n_temporal)), 1)
        n_static = max(n_features // 2 - n_dynamic * n_temporal, 1)
        static = FourierFeatures.from_normal(n_static, sigma, generator)
        dynamic = FourierFeatures.from_normal(n_dynamic, sigma, generator)
        return cls(static, dynamic, n_temporal)

    def forward(self, k: torch.Tensor, temporal: torch.Tensor) -> torch.Tensor:
        """(point, 2) and (point, function), or (1, function) for one moment -> (point, feature).

        The dynamic features follow the static ones, functions of time running fastest.
        """
        dynamic = self.dynamic(k).unsqueeze(-1) * temporal.unsqueeze(-2)
        return torch.cat([self.static(k), dynamic.flatten(-2)], -1)
