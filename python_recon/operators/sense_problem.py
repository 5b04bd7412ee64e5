"""What the iterative methods have in common: the weighted SENSE data term of a series.

``|W^1/2 (F S x - y)|^2 / 2`` with the weights of :func:`~python_recon.operators.sense.data_weights`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from python_recon.acquisition.encoding import encoding_of
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ShapeError
from python_recon.operators.nufft import Nufft
from python_recon.operators.sense import Sense, combine, data_weights, density_of
from python_recon.operators.toeplitz import point_spread_kernels


@dataclass(frozen=True)
class SenseProblem:
    """The data term in the form that needs no more NUFFT."""

    kernels: torch.Tensor
    """(frame, 2 y, 2 x), or (frame, y, x) on a grid, point-spread kernels of the weighted trajectories."""
    maps: torch.Tensor
    """(coil, y, x)."""
    right_side: torch.Tensor
    """(frame, y, x) ``S^H F^H W y``."""
    noise: torch.Tensor
    """Standard deviation of the noise in a pixel of ``right_side``, a scalar."""

    @classmethod
    def from_kspace(cls, kspace: KSpace, maps: CoilMaps) -> SenseProblem:
        """The data term of prepared k-space on its device."""
        weights = data_weights(kspace)
        sense = Sense(kspace, maps)
        return cls(
            kernels=point_spread_kernels(kspace.trajectory, weights, kspace.matrix),
            maps=maps.maps,
            right_side=sense.adjoint(kspace.data * weights[:, None]),
            noise=right_side_noise(kspace, weights),
        )

    def of(self, kspace: KSpace, maps: CoilMaps) -> SenseProblem:
        """The data term of other data at the same places."""
        weights = data_weights(kspace)
        return replace(self, right_side=Sense(kspace, maps).adjoint(kspace.data * weights[:, None]))


def time_average(kspace: KSpace, maps: CoilMaps) -> torch.Tensor:
    """Gridding image (y, x) of the spokes of all frames together."""
    density = encoding_of(kspace).pooled_density(kspace, density_of(kspace))
    pooled = (kspace.data * density[:, None]).transpose(0, 1).flatten(1, 2)
    nufft = Nufft(kspace.trajectory.flatten(0, 1)[None], kspace.matrix)
    return combine(nufft.adjoint(pooled[None]), maps.maps)[0]


def right_side_noise(kspace: KSpace, weights: torch.Tensor) -> torch.Tensor:
    """Standard deviation in a pixel of the right side, a scalar."""
    if kspace.noise is None:
        raise ShapeError("the k-space has no noise level; with_noise estimates it")
    mean = (weights**2).sum((1, 2)).mean()
    return (kspace.noise.variance * mean / (kspace.matrix[0] * kspace.matrix[1])).sqrt()
