"""Lines of a Cartesian grid: the answers of :class:`~python_recon.acquisition.encoding.Encoding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from python_recon.acquisition.cartesian.cells import (
    areas_in_disc,
    counted_density,
    full_width,
)
from python_recon.acquisition.cartesian.cells import (
    pooled_density as pooled_density,
)
from python_recon.acquisition.cartesian.grid import fit as fit
from python_recon.acquisition.cartesian.lines import locate as locate
from python_recon.acquisition.cartesian.thinning import thinned as thinned
from python_recon.arrays import Array
from python_recon.data import KSpace

if TYPE_CHECKING:
    import torch


READOUTS_ARE_ALIKE = False


def analytic_density(kspace: KSpace) -> Array:
    """1 for every cell."""
    return counted_density(kspace)


def data_weights(_kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """The same."""
    return density


def undersampling(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """Cells of the grid, over samples."""
    return kspace.matrix[0] * kspace.matrix[1] / (density > 0).sum()


def sampled_width(kspace: KSpace, chosen: torch.Tensor) -> float:
    """Up to the innermost cell without a sample."""
    return full_width(kspace, chosen)


def calibration_density(spokes: torch.Tensor, samples: torch.Tensor, width: int) -> torch.Tensor:
    """1 for every cell."""
    return areas_in_disc(spokes, samples, width)


def importance(trajectory: torch.Tensor) -> torch.Tensor:
    """All alike."""
    return trajectory.new_ones(trajectory.shape[:-1])


def widened(kspace: KSpace, _scale: float | None) -> KSpace:
    """The field of view is what was encoded: what lies beyond is folded into it already."""
    return kspace


def undelayed(kspace: KSpace, _mode: Literal["auto", "on", "off"]) -> KSpace:
    """All lines are delayed alike, which turns the phase of the images only."""
    return kspace
