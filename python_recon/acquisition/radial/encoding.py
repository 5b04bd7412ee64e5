"""Radial spokes: the answers of :class:`~python_recon.acquisition.encoding.Encoding`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from python_recon.acquisition.radial.delays import correct
from python_recon.acquisition.radial.density import ramp_density
from python_recon.acquisition.radial.extent import field_of_view_scale, trim, widen
from python_recon.acquisition.radial.trajectory import locate as locate
from python_recon.acquisition.spokes import middle_spokes
from python_recon.arrays import Array
from python_recon.data import KSpace

if TYPE_CHECKING:
    import torch


READOUTS_ARE_ALIKE = True
fit = trim
thinned = middle_spokes


def analytic_density(kspace: KSpace) -> Array:
    """The ramp."""
    return ramp_density(kspace)


def data_weights(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """At most the sample's own cell, one cycle per field of view wide."""
    import torch

    radius = torch.linalg.vector_norm(kspace.trajectory, dim=-1)
    spacing = (radius[..., 1:] - radius[..., :-1]).abs().amax(-1, keepdim=True)
    return torch.minimum(density, spacing)


def pooled_density(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """Every frame covers all of k-space."""
    return density / kspace.n_frames


def undersampling(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """Spokes that Nyquist demands at the edge of k-space, over those there are."""
    return math.pi / 2 * max(kspace.matrix) / (density > 0).any(-1).sum()


def sampled_width(kspace: KSpace, chosen: torch.Tensor) -> float:
    """2 n / pi for n angles."""
    import torch

    from python_recon.acquisition.radial.calibration import n_angles

    spokes = torch.as_tensor(kspace.trajectory).flatten(0, 1)[chosen]
    return 2 * n_angles(spokes) / math.pi


def calibration_density(spokes: torch.Tensor, _samples: torch.Tensor, width: int) -> torch.Tensor:
    """A spoke's share of the half circle times the ramp."""
    from python_recon.acquisition.radial.calibration import areas

    return areas(spokes, width)


def importance(trajectory: torch.Tensor) -> torch.Tensor:
    """The radius."""
    import torch

    return torch.linalg.vector_norm(trajectory, dim=-1)


def widened(kspace: KSpace, scale: float | None) -> KSpace:
    """By what the projections show, where no scale is set."""
    return widen(kspace, scale or field_of_view_scale(kspace))


def undelayed(kspace: KSpace, mode: Literal["auto", "on", "off"]) -> KSpace:
    """By what the spokes themselves tell."""
    return correct(kspace, mode)
