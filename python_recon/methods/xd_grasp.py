"""XD-GRASP: one extra dimension for breathing, and one beat for the whole scan.

Spokes are sorted into cardiac phases and respiratory states; the images x[c, r] of all of them minimise
``|W^1/2 (F S x - y)|^2 / 2 + lambda_c sum |x[c+1, r] - x[c, r]| + lambda_r sum |x[c, r+1] - x[c, r]|``,
periodic in c. The series that is returned shows, for every frame of the scan, the image of its phase and
state. Feng et al., doi:10.1002/mrm.25665. Without R-wave stamps the frames of the scan stand for the cardiac
phases, without wrap; scans too short for self-gating have one respiratory state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from python_recon.acquisition.density import fill_density
from python_recon.acquisition.gating import cardiac_phase, respiratory_position, sort_spokes
from python_recon.config import DensityConfig, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.methods.grasp import minimise_variation
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.differences import neighbour_differences
from python_recon.schedule import Budget, Steps


class XdGraspOptions(Section):
    """Options of ``xd_grasp``."""

    iterations: int = Field(12, ge=1)
    """Gradient steps."""
    regularisation: float = Field(4.0, ge=0)
    """lambda_c in units of the noise of the data term's gradient."""
    respiratory_regularisation: float = Field(2.0, ge=0)
    """lambda_r in the same units."""
    cardiac_phases: int = Field(25, ge=2)
    """Bins of the cardiac cycle."""
    respiratory_states: int = Field(4, ge=1)
    """Bins of the respiratory position, with the same number of spokes each."""


@dataclass(frozen=True)
class _Sorting:
    """Where every spoke belongs."""

    phases: np.ndarray
    """(frame, spoke) int."""
    states: np.ndarray
    """(frame, spoke) int."""
    n_phases: int
    n_states: int
    is_periodic: bool

    @property
    def labels(self) -> np.ndarray:
        return self.phases * self.n_states + self.states

    def differences(self, respiratory_weight: float) -> torch.Tensor:
        """Differences (difference, phase * state) along both dimensions."""
        cardiac = neighbour_differences(self.n_phases, self.is_periodic)
        respiratory = respiratory_weight * neighbour_differences(self.n_states)
        rows = [torch.kron(cardiac, torch.eye(self.n_states))]
        rows.append(torch.kron(torch.eye(self.n_phases), respiratory))
        return torch.cat(rows)

    def bin_of_frames(self) -> np.ndarray:
        """(frame,) bin of the middle spoke of every frame of the scan."""
        labels: np.ndarray = self.labels[:, self.labels.shape[1] // 2]
        return labels


def run(kspace: KSpace, maps: CoilMaps, options: XdGraspOptions, budget: Budget) -> Reconstruction:
    """The series, a frame for every frame of the scan; stops at the deadline with what it has."""
    device = kspace.data.device
    scan = kspace.to_numpy()
    sorting = _sort(scan, options)
    sorted_scan = sort_spokes(scan, sorting.labels, sorting.n_phases * sorting.n_states)
    binned = fill_density(sorted_scan, DensityConfig()).to_torch(device)
    steps = Steps(budget, "xd_grasp", options.iterations)
    ratio = options.respiratory_regularisation / max(options.regularisation, 1e-6)
    differences = sorting.differences(ratio).to(device)
    images = minimise_variation(binned, maps, differences, options.regularisation, steps)
    details = {
        "iterations": steps.done,
        "cardiac_phases": sorting.n_phases if sorting.is_periodic else 0,
        "respiratory_states": sorting.n_states,
    }
    return Reconstruction(images[torch.as_tensor(sorting.bin_of_frames(), device=device)], details)


def _sort(kspace: KSpace, options: XdGraspOptions) -> _Sorting:
    phase, position = cardiac_phase(kspace), respiratory_position(kspace)
    n_phases = kspace.n_frames if phase is None else options.cardiac_phases
    n_states = 1 if position is None or phase is None else options.respiratory_states
    shape = (kspace.n_frames, kspace.n_spokes)
    frames = np.broadcast_to(np.arange(kspace.n_frames)[:, None], shape)
    return _Sorting(
        phases=frames if phase is None else _bins(phase, n_phases),
        states=np.zeros(shape, int) if position is None else _bins(position, n_states),
        n_phases=n_phases,
        n_states=n_states,
        is_periodic=phase is not None,
    )


def _bins(position: np.ndarray, n_bins: int) -> np.ndarray:
    """Equal bins of 0..1."""
    bins: np.ndarray = np.minimum((position * n_bins).astype(int), n_bins - 1)
    return bins


METHOD = Method(run, XdGraspOptions)
