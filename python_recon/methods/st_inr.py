"""Spatiotemporal INR, our fast form: a subspace reconstruction refined by a neural field of images.

The field of component images (see :mod:`~python_recon.methods.subspace_inr`) first learns the images of a
subspace reconstruction, then is fitted to the spokes. What it has changed by then is added to the images in
the share that the held-out spokes ask for: much where few spokes have left the start noisy, little where the
start is good and the field too smooth for it. At last the start is computed anew, with all spokes.

After Feng et al., doi:10.1109/TMI.2025.3526452. Departures: low rank by a factorisation with a temporal basis
from the scan, where the paper has a nuclear norm and a field of three dimensions (for that see
:mod:`~python_recon.methods.st_inr_paper`); a normal operator in place of the NUFFT; start and mixture.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.fit import FitReport
from python_recon.fields.image_field import ComponentField, Correction
from python_recon.fields.image_fit import Descent, cosine, descend
from python_recon.fields.low_rank import LowRankStart
from python_recon.methods.field_problem import low_rank_start
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace_inr import (
    ImageProblem,
    SubspaceInrOptions,
    fit_components,
    held_out_judge,
    new_field,
)
from python_recon.schedule import Budget

_DISTILLATION_RATE = 1e-2


class StInrOptions(SubspaceInrOptions):
    """Options of ``st_inr``."""

    distillation_steps: int = Field(150, ge=1)
    """Steps in which the field learns the images of the subspace reconstruction."""
    steps: int = Field(160, ge=1)
    """Most steps in which it is fitted to the spokes."""
    learning_rate: float = Field(3e-3, gt=0)
    """Of Adam in those steps, at first; it falls to zero along a cosine."""


def run(kspace: KSpace, maps: CoilMaps, options: StInrOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best mixture it has."""
    problem = ImageProblem.from_kspace(kspace, maps, options.held_out_share)
    if problem.held_out is None:
        start = low_rank_start(problem, kspace, budget)
        told = "without a judge, the images are those of the subspace start"
        return problem.reconstruction(None, start, FitReport("no judge", share=0.0), told)
    began = time.monotonic()
    start = low_rank_start(problem, problem.fitted_kspace, budget)
    again_s = 1.5 * (time.monotonic() - began)
    for_field = replace(budget, seconds=budget.seconds - again_s)
    net = new_field(problem, start.temporal, options, budget)
    distil(net, start, options.distillation_steps, for_field)
    report = fit_components(problem, net, options, for_field, held_out_judge(problem, net, start))
    correction = Correction(net, start)
    if budget.left_s > again_s / 2:
        start = low_rank_start(problem, kspace, budget)
    return problem.reconstruction(correction, start, report)


def distil(net: ComponentField, start: LowRankStart, steps: int, budget: Budget) -> None:
    """Teach a field the component images of a start of the same basis."""
    rows, columns = start.pixels.shape[-2:]

    def backward(_done: float) -> torch.Tensor:
        error = torch.view_as_real(net.components((rows, columns)) - start.pixels) / net.amplitude
        loss = error.square().sum((0, -1)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    optimiser = torch.optim.Adam([*net.grid.parameters(), *net.network.parameters()], _DISTILLATION_RATE)
    descend(net, optimiser, backward, Descent("distillation", steps, cosine), budget)


METHOD = Method(run, StInrOptions)
