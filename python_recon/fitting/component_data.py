"""The data term of component images without a NUFFT, and joint spatial variation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.operators.sense import Sense, data_weights, density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels

if TYPE_CHECKING:
    from typing_extensions import Self

_SMOOTH = 1e-4
"""Gradient, relative to the amplitude of the images, below which their variation is quadratic."""


@dataclass(frozen=True)
class ComponentData:
    """``|W^1/2 (F S V u - y)|^2 / 2`` of component images u, expanded: ``<u, G u> / 2 - Re <b, u> + c``."""

    gram: SubspaceGram
    right_side: torch.Tensor
    """b, (component, y, x)."""
    energy: torch.Tensor
    """``|W^1/2 y|^2``, a scalar: twice c."""

    @classmethod
    def of_spokes(cls, kspace: KSpace, maps: CoilMaps, curves: torch.Tensor) -> Self:
        """The term without frames: V has its values at the time of every spoke.

        Parameters
        ----------
        kspace
            Of one frame, as :func:`one_frame` makes it.
        curves
            (spoke, component) temporal functions at the time of every spoke.
        """
        weights = data_weights(kspace)
        weighted, sense = kspace.data * weights[:, None], Sense(kspace, maps)
        sides = [sense.adjoint(weighted * curve[:, None]) for curve in curves.T]
        directions, factors = _squares(curves)
        kernels = [
            point_spread_kernels(kspace.trajectory, weights * factor[:, None], kspace.matrix)
            for factor in factors
        ]
        energy = (weighted * kspace.data.conj()).real.sum()
        return cls(SubspaceGram(torch.cat(kernels), maps.maps, directions), torch.cat(sides), energy)

    def slope(self, components: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient ``G u - b``, and the squared misfit relative to the data: 1 for no image at all."""
        gradient = self.gram(components) - self.right_side
        change = (components.conj() * (gradient - self.right_side)).real.sum()
        return gradient, 1 + change / self.energy


def one_frame(kspace: KSpace) -> KSpace:
    """The spokes of all frames, one frame after the other, as those of a single one."""
    return replace(
        kspace,
        data=kspace.data.transpose(0, 1).flatten(1, 2)[None],
        trajectory=kspace.trajectory.flatten(0, 1)[None],
        density=density_of(kspace).flatten(0, 1)[None],
        spoke_mask=None,
        is_shared=None,
    )


def _squares(curves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The outer product ``v v^T`` of the curves at every spoke as a sum of ``f d d^T`` in few directions d.

    d are the unit vectors e_k and the sums e_k + e_l, by polarisation: as many as there are pairs of
    components, however many spokes there are.

    Returns
    -------
        Directions (direction, component) and factors (direction, spoke).
    """
    n_components = curves.shape[1]
    unit = torch.eye(n_components, dtype=curves.dtype, device=curves.device)

    def terms() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        total = curves.sum(1)
        for k, curve in enumerate(curves.T):
            yield unit[k], curve * (2 * curve - total)
            for other in range(k):
                yield unit[k] + unit[other], curve * curves[:, other]

    directions, factors = zip(*terms(), strict=True)
    return torch.stack(directions), torch.stack(factors)


def joint_variation(components: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
    """``sum_yx sqrt(sum_k |grad u_k|^2)`` of images (component, y, x), smooth where it is 0.

    The components share their edges; see :class:`~python_recon.operators.differences.SpatialVariation`.
    """
    across = torch.diff(components, dim=-1, append=components[..., -1:])
    down = torch.diff(components, dim=-2, append=components[..., -1:, :])
    pairs = torch.view_as_real(across).square() + torch.view_as_real(down).square()
    return (pairs.sum(0).sum(-1) + (_SMOOTH * amplitude) ** 2).sqrt().sum()
