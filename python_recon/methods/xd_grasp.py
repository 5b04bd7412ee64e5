"""XD-GRASP: breathing as an extra dimension, and one beat for the whole scan.

With R waves the spokes are sorted into cardiac phases c and respiratory states r, and the images of all
of them minimise ``|W^1/2 (F S x - y)|^2 / 2 + lambda_c sum |x[c+1, r] - x[c, r]| + lambda_r sum |x[c, r+1] -
x[c, r]|``, periodic in c; the series that is returned shows, for every frame of the scan, the image of its
phase and state. Without R waves the frames of the scan are kept, and lambda_r weighs the differences between
frames that follow one another in the order of their respiratory position. The position comes from the
waveform of the breath or is self-gated; in a scan too short for that there is no such term. Either lack is
told. Feng et al., doi:10.1002/mrm.25665.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from pydantic import Field

from python_recon.acquisition.gating.spoke_phases import (
    bins,
    cardiac_phase,
    respiratory_position,
    sort_spokes,
)
from python_recon.config import DensityConfig, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.methods.bounds import Iterations
from python_recon.methods.grasp import minimise_variation
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.density import fill_density
from python_recon.operators.differences import neighbour_differences
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget, Steps

_UNEVENNESS = 2
"""Spokes of the fullest phase and state, relative to the mean."""


class XdGraspOptions(Section):
    """Options of ``xd_grasp``."""

    iterations: Iterations = 12
    """Gradient steps."""
    regularisation: float = Field(4.0, ge=0, le=1e6)
    """lambda_c in units of the noise of the data term's gradient."""
    respiratory_regularisation: float = Field(2.0, ge=0, le=1e6)
    """lambda_r in the same units."""
    cardiac_phases: int = Field(25, ge=2, le=1000)
    """Bins of the cardiac cycle."""
    respiratory_states: int = Field(4, ge=1, le=64)
    """Bins of the respiratory position, with the same number of spokes each."""


@dataclass(frozen=True)
class _Arrangement:
    """Frames to reconstruct, and which of them are alike."""

    kspace: KSpace
    differences: torch.Tensor
    """(difference, image) whose variation is penalised, times its lambda over the larger of the two."""
    image_of_frame: np.ndarray
    """(frame,) the image that shows each frame of the scan."""
    details: dict[str, int]
    comment: str
    """What the data did not allow."""


def run(kspace: KSpace, maps: CoilMaps, options: XdGraspOptions, budget: Budget) -> Reconstruction:
    """The series, a frame for every frame of the scan; stops at the deadline with what it has."""
    device = kspace.data.device
    arrangement = _arrange(kspace.to_numpy(), options)
    sorted_kspace = fill_density(arrangement.kspace, DensityConfig()).to_torch(device)
    steps = Steps(budget, "xd_grasp", options.iterations)
    differences = arrangement.differences.to(device)
    images = minimise_variation(sorted_kspace, maps, differences, _larger_weight(options), steps)
    shown = torch.as_tensor(arrangement.image_of_frame, device=device)
    return Reconstruction(
        images[shown], {"iterations": steps.done, **arrangement.details}, comment=arrangement.comment
    )


def _arrange(kspace: KSpace, options: XdGraspOptions) -> _Arrangement:
    phase, position = cardiac_phase(kspace), respiratory_position(kspace)
    if phase is None:
        return _by_time(kspace, position, options)
    return _by_phase(kspace, phase, position, options)


def _larger_weight(options: XdGraspOptions) -> float:
    return max(options.regularisation, options.respiratory_regularisation)


def _relative_weights(options: XdGraspOptions) -> tuple[float, float]:
    """lambda_c and lambda_r over the larger of the two."""
    larger = _larger_weight(options) or 1.0
    return options.regularisation / larger, options.respiratory_regularisation / larger


def _by_phase(
    kspace: KSpace, phase: np.ndarray, position: np.ndarray | None, options: XdGraspOptions
) -> _Arrangement:
    n_phases, n_states = options.cardiac_phases, 1 if position is None else options.respiratory_states
    states = np.zeros(phase.shape, int) if position is None else bins(position, n_states)
    labels = bins(phase, n_phases) * n_states + states
    cardiac_weight, respiratory_weight = _relative_weights(options)
    cardiac = cardiac_weight * neighbour_differences(n_phases, is_periodic=True)
    respiratory = respiratory_weight * neighbour_differences(n_states)
    rows = torch.kron(cardiac, torch.eye(n_states)), torch.kron(torch.eye(n_phases), respiratory)
    return _Arrangement(
        kspace=sort_spokes(kspace, labels, n_phases * n_states),
        differences=torch.cat(rows),
        image_of_frame=labels[:, labels.shape[1] // 2],
        details={"cardiac_phases": n_phases, "respiratory_states": n_states},
        comment=_lack(position),
    )


def _by_time(kspace: KSpace, position: np.ndarray | None, options: XdGraspOptions) -> _Arrangement:
    temporal_weight, respiratory_weight = _relative_weights(options)
    neighbours = neighbour_differences(kspace.n_frames)
    rows = [temporal_weight * neighbours]
    if position is not None:
        order = torch.as_tensor(position.mean(1)).argsort()
        rows.append(respiratory_weight * neighbours @ torch.eye(kspace.n_frames)[order])
    return _Arrangement(
        kspace=kspace,
        differences=torch.cat(rows),
        image_of_frame=np.arange(kspace.n_frames),
        details={"cardiac_phases": 0, "respiratory_states": 1 if position is None else kspace.n_frames},
        comment="; ".join(filter(None, ["no R waves: not sorted by the heart", _lack(position)])),
    )


def _lack(position: np.ndarray | None) -> str:
    return "" if position is not None else "no breathing was found: not sorted by it"


def _need(size: Size, options: XdGraspOptions) -> float:
    """That of a series of all phases and states, unevenly filled, with differences along both.

    R waves are taken to be there: only the data would tell.
    """
    n_images = max(size.n_frames, options.cardiac_phases * options.respiratory_states)
    n_spokes = math.ceil(_UNEVENNESS * size.n_frames * size.n_spokes / n_images)
    images = replace(size, n_frames=n_images, n_spokes=n_spokes)
    return series_need(images) + 4 * images.images


METHOD = Method(run, XdGraspOptions, _need)
