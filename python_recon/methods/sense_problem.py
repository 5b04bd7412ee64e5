"""What the iterative methods have in common: the weighted SENSE data term of a series.

``|W^1/2 (F S x - y)|^2 / 2`` with the weights of :func:`~python_recon.operators.sense.data_weights`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.operators.nufft import Nufft
from python_recon.operators.sense import Sense, combine, data_weights, density_of
from python_recon.operators.toeplitz import point_spread_kernels

_SAME_DISTANCE = 1e-2
"""Cycles by which distances from the centre of k-space differ for no reason."""


@dataclass(frozen=True)
class SenseProblem:
    """The data term in the form that needs no more NUFFT."""

    kernels: torch.Tensor
    """(frame, 2 y, 2 x) point-spread kernels of the weighted trajectories."""
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


def time_average(kspace: KSpace, maps: CoilMaps) -> torch.Tensor:
    """Gridding image (y, x) of the spokes of all frames together."""
    density = density_of(kspace) / kspace.n_frames
    pooled = (kspace.data * density[:, None]).transpose(0, 1).flatten(1, 2)
    nufft = Nufft(kspace.trajectory.flatten(0, 1)[None], kspace.matrix)
    return combine(nufft.adjoint(pooled[None]), maps.maps)[0]


def right_side_noise(kspace: KSpace, weights: torch.Tensor) -> torch.Tensor:
    """Standard deviation in a pixel of the right side, a scalar, from the samples furthest from the centre.

    There the object is faint and the median of the magnitude (Rayleigh: sigma sqrt(ln 4) for a standard
    deviation sigma of each part) is that of the noise. Where it is not, the estimate is high, and counts
    what undersampling scatters as noise, which suits its use as a scale for regularisation.
    """
    radius = torch.linalg.vector_norm(kspace.trajectory, dim=-1) * (weights > 0)
    # Of two samples at the same distance the earlier one, whatever the last bit of their places.
    order = torch.linspace(0, _SAME_DISTANCE, kspace.n_samples, device=radius.device)
    furthest = (radius - order).topk(max(1, kspace.n_samples // 20), -1).indices
    outer = kspace.data.gather(-1, furthest[:, None].expand(-1, kspace.n_coils, -1, -1))
    measured = outer.transpose(1, 2)[radius.amax(-1) > 0]
    deviation = measured.abs().median() * math.sqrt(2 / math.log(4))
    return deviation * (weights**2).sum((1, 2)).mean().sqrt() / math.sqrt(kspace.matrix[0] * kspace.matrix[1])
