"""The data term of component images without a NUFFT, and joint spatial variation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from python_recon.operators.toeplitz import SubspaceGram

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

    def slope(self, components: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient ``G u - b``, and the squared misfit relative to the data: 1 for no image at all."""
        gradient = self.gram(components) - self.right_side
        change = (components.conj() * (gradient - self.right_side)).real.sum()
        return gradient, 1 + change / self.energy


def joint_variation(components: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
    """``sum_yx sqrt(sum_k |grad u_k|^2)`` of images (component, y, x), smooth where it is 0.

    The components share their edges; see :class:`~python_recon.operators.differences.SpatialVariation`.
    """
    across = torch.diff(components, dim=-1, append=components[..., -1:])
    down = torch.diff(components, dim=-2, append=components[..., -1:, :])
    pairs = torch.view_as_real(across).square() + torch.view_as_real(down).square()
    return (pairs.sum((0, -1)) + (_SMOOTH * amplitude) ** 2).sqrt().sum()
