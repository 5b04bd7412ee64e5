"""Spatiotemporal INR, our fast form: a subspace reconstruction refined by a neural field of images.

The field of component images (see :mod:`~python_recon.methods.subspace_inr`) first learns the images of a
subspace reconstruction, then is fitted to the spokes. What it has changed by then is added to the images, of
each component in the share that the held-out spokes ask for: much where few spokes have left the start noisy,
little where the start is good and the field too smooth for it; and only in the disc of k-space that spokes
reach, for beyond it no sample can judge the field. At last the start is computed anew, with all spokes.

After Feng et al., doi:10.1109/TMI.2025.3526452. Departures: low rank by a factorisation with a temporal basis
from the scan, where the paper has a nuclear norm and a field of three dimensions (for that see
:mod:`~python_recon.methods.st_inr_paper`); a normal operator in place of the NUFFT; start and mixture.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.image_field import ComponentField, Correction
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.sizes import Features
from python_recon.fields.view import View
from python_recon.fitting.capture import captured
from python_recon.fitting.descent import (
    Descent,
    FitReport,
    adam,
    cosine,
    descend,
    gradient_step,
    with_gradients,
)
from python_recon.fitting.gathered import gather
from python_recon.fitting.shrinking import within_memory
from python_recon.judging.weights import Weight, number
from python_recon.methods.bounds import FitSteps
from python_recon.methods.field_problem import FieldProblem, JudgedStart, start_alone
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace_inr import (
    PATIENCE,
    ComponentFit,
    SubspaceInrOptions,
    components_need,
    data_term,
    held_out_judge,
    new_field,
)
from python_recon.resources.schedule import Budget

_DISTILLATION_RATE = 1e-2
_NEARBY_RATE = 1e-3
"""For a field that begins as that of a neighbouring slice: larger steps would spoil it first."""
_OF_A_SERIES = 2.0
"""Spatial weight of a field relative to that of its start, which holds changes over time down as well."""


class StInrOptions(SubspaceInrOptions):
    """Options of ``st_inr``."""

    implementation: ClassVar[str] = "st_inr"

    features: Features = 8
    """Features of a level: enough to learn the images of the start to within their noise."""
    distillation_steps: FitSteps = 400
    """Steps in which the field learns the images of the subspace reconstruction."""
    steps: FitSteps = 160
    """Most steps in which it is fitted to the spokes."""
    spatial_regularisation: Weight = "auto"
    """mu of the field, in units of the noise; auto: that of least risk for the start, for a series twice as
    much; 0: none."""
    learning_rate: float = Field(1e-3, gt=0, le=1e38)
    """Of Adam in those steps, at first; it falls to zero along a cosine."""


def run(kspace: KSpace, maps: CoilMaps, options: StInrOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best mixture it has."""
    given = gather(kspace, maps, "scan", options.held_out_share)
    problem = FieldProblem(given, options)
    if given.held_out is None:
        return start_alone(problem, budget)
    start = JudgedStart.solve(given, budget)
    for_field, first, weight = start.rest_of(budget), start.first, options.spatial_regularisation
    if weight == "auto":
        of_start = number(start.options.spatial_regularisation)
        weight = of_start if kspace.n_frames == 1 else _OF_A_SERIES * of_start

    def attempt(chosen: StInrOptions) -> tuple[ComponentField, FitReport]:
        net = new_field(given, first.temporal, chosen)
        if not problem.begin(net, budget):
            rate = _DISTILLATION_RATE if budget.start is None else _NEARBY_RATE
            distil(net, first, chosen.distillation_steps, for_field, chosen.compiled == "auto", rate)
        term, judge = data_term(given, net.temporal), held_out_judge(given, net, first)
        fit = ComponentFit(net, chosen, term, judge, chosen.steps, problem.track)
        return net, fit.run(weight, chosen.steps, for_field)

    (net, report), taken = within_memory(attempt, options)
    final = start.final(budget)
    return problem.with_options(taken).reconstruction(Correction(net, first), final, report)


def distil(
    net: ComponentField,
    start: LowRankStart,
    steps: int,
    budget: Budget,
    is_captured: bool = True,
    rate: float = _DISTILLATION_RATE,
) -> None:
    """Teach a field the component images of a start of the same basis."""
    rows, columns = start.pixels.shape[-2:]
    view = View.whole((rows, columns))

    def wrong() -> torch.Tensor:
        error = torch.view_as_real(net.components(view) - start.pixels) / net.amplitude
        return error.square().sum((0, -1)).mean()

    device = start.pixels.device
    optimiser = adam(net.parameters(), rate, device)
    step = gradient_step(optimiser, partial(with_gradients, [wrong]))
    if is_captured:
        step = captured(step, optimiser, device, steps)
    descent = Descent("distillation", steps, cosine, PATIENCE)
    descend(net, optimiser, lambda *_: step(), descent, budget)


METHOD = Method(run, StInrOptions, components_need, griddings=24.0)
