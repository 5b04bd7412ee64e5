"""What the fits of neural fields have in common: a slice, its time, and the spokes that judge the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.samples import FEWEST_SPOKES, Samples, frame_times, split_spokes
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.methods.subspace import SubspaceOptions, solve
from python_recon.operators.sense import density_of
from python_recon.schedule import Budget


@dataclass(frozen=True)
class FieldProblem:
    """A slice as a field sees it."""

    kspace: KSpace
    maps: CoilMaps
    axis: TimeAxis
    scale: float
    """The largest sample, the unit of all fields."""
    kept: np.ndarray
    """(frame, spoke) bool, the spokes that are fitted."""
    held_out: Samples | None
    comment: str
    """What the data did not allow."""

    @property
    def fitted_kspace(self) -> KSpace:
        """The k-space with the weights of held-out spokes at zero."""
        keeps = torch.as_tensor(self.kept, device=self.kspace.data.device)
        return replace(self.kspace, density=density_of(self.kspace) * keeps[..., None])

    def temporal(self, basis: torch.Tensor) -> SplineBasis:
        """An orthonormal basis (frame, component) as functions of the field's time, of unit mean square."""
        if self.axis.kind != "plain":
            raise ConfigError(
                "a basis learned from the frames needs options.time scan, or options.start none"
            )
        times = self.axis.of(frame_times(self.kspace))
        spline = SplineBasis(basis.cpu().numpy() * len(basis) ** 0.5, times)
        return spline.to(basis.device)


def hold_out(
    kspace: KSpace, axis: TimeAxis, scale: float, share: float
) -> tuple[np.ndarray, Samples | None, str]:
    """Spokes to fit (frame, spoke) bool, samples to judge by, and why there are none."""
    kept, held = split_spokes(kspace, share)
    if held.any():
        return kept, Samples.of_spokes(kspace, held, axis, scale), ""
    comment = f"{kept.sum()} spokes are too few to hold some out (from {FEWEST_SPOKES} on)"
    return kept, None, comment if share else ""


def low_rank_start(problem: FieldProblem, kspace: KSpace, budget: Budget) -> LowRankStart:
    """A subspace reconstruction of the spokes that have weight, in the unit of the samples."""
    result = solve(kspace, problem.maps, SubspaceOptions(), budget)
    components = result.components / (problem.scale * kspace.n_frames**0.5)
    return LowRankStart(components, problem.maps.maps, problem.temporal(result.basis))
