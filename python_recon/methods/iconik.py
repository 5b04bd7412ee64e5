"""ICoNIK: a neural k-space field, corrected by its own neighbourhoods. Spieker et al., arXiv:2308.08830.

Minimises the HDR loss (see :mod:`python_recon.losses.hdr`) in three stages: that of the field f; that of the
corrected field C[f], with f frozen and on the innermost samples alone; that of C[f] on all samples, with C
frozen, so that f is refined through it. C is three complex convolutions over a sample's neighbours in k-space
and all coils (see :class:`~python_recon.losses.Iconik`). Images are the Cartesian query of C[f].

Other than published, held-out spokes decide which of the three stages is handed over, where there are any.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError
from python_recon.fields.corrected import TOGETHER, CorrectedField
from python_recon.fields.field import KSpaceField
from python_recon.fitting.descent import FitReport
from python_recon.fitting.fit import fit
from python_recon.fitting.gathered import gather
from python_recon.fitting.tracking import Track, under, untracked
from python_recon.judging.judge import Judge
from python_recon.judging.samples import Samples
from python_recon.losses import Iconik, innermost
from python_recon.methods.bounds import FitSteps
from python_recon.methods.field_problem import FieldProblem
from python_recon.methods.neural_kspace import FitOptions, field_need, new_field, plan_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget, part_of

_SHARES = (0.4, 0.4, 1.0)
"""Of the time that is left when a stage begins."""


class IconikOptions(FitOptions):
    """Options of ``iconik`` and its published form."""

    implementation: ClassVar[str] = "iconik"
    neighbourhoods: int = Field(256, ge=1, le=1_000_000)
    """Samples, with their neighbourhoods, to a step of calibration and refinement."""
    neighbour_step: float = Field(1.0, gt=0, le=100)
    """Distance of neighbours, in steps of the Cartesian grid."""
    calibration_share: float = Field(0.4, gt=0, le=1)
    """Share of the samples, the innermost, that the convolutions are calibrated on."""
    calibration_steps: FitSteps = 200
    """Most steps of the calibration."""
    calibration_rate: float = Field(1e-2, gt=0, le=1e38)
    """Learning rate of the calibration."""
    refinement_steps: FitSteps = 100
    """Most steps of the refinement."""
    refinement_rate: float = Field(1e-5, gt=0, le=1e38)
    """Learning rate of the refinement."""


@dataclass(frozen=True)
class _Stage:
    """What a stage of the fit left."""

    report: FitReport
    net: KSpaceField
    """A copy: the next stage changes the field."""


def run(kspace: KSpace, maps: CoilMaps, options: IconikOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    given = gather(kspace, maps, options.time, options.held_out_share, wraps=options.wraps)
    problem = FieldProblem(given, options)
    stages, failure = [], ""
    try:
        for stage in _stages(problem, options, budget):
            stages.append(stage)
    except BackendError as error:
        if not stages:
            raise
        failure = str(error)
    chosen, comment = _choose(stages, failure)
    report = _joined([stage.report for stage in stages])
    return problem.reconstruction(chosen.net, None, report, comment)


@dataclass(frozen=True)
class Phase:
    """A fit of one part of the corrected field, the other as it is."""

    trains: Callable[[CorrectedField], nn.Module]
    sees: Callable[[Samples, IconikOptions], Samples]
    """The samples that it is fitted to."""
    steps_and_rate: Callable[[IconikOptions], tuple[int, float]]

    def __call__(
        self,
        net: CorrectedField,
        samples: Samples,
        options: IconikOptions,
        budget: Budget,
        generator: torch.Generator,
        judge: Judge | None = None,
        track: Track = untracked,
    ) -> FitReport:
        """Fit the part; raises BackendError where that diverges at once."""
        net.train_only(self.trains(net))
        steps, rate = self.steps_and_rate(options)
        plan = plan_of(options)
        plan = replace(plan, steps=steps, batch=options.neighbourhoods, learning_rate=rate)
        return fit(net, self.sees(samples, options), plan, budget, generator, judge=judge, track=track)


def _innermost(samples: Samples, options: IconikOptions) -> Samples:
    inner = innermost(samples.k, options.calibration_share)
    chosen = (each[inner] for each in (samples.k, samples.t, samples.values, samples.importance))
    return Samples(*chosen)


calibrate = Phase(
    trains=lambda net: net.correction,
    sees=_innermost,
    steps_and_rate=lambda options: (options.calibration_steps, options.calibration_rate),
)
"""Fits the convolutions to the innermost samples."""
refine = Phase(
    trains=lambda net: net.field,
    sees=lambda samples, _: samples,
    steps_and_rate=lambda options: (options.refinement_steps, options.refinement_rate),
)
"""Fits the field to all samples through the convolutions."""


def _stages(problem: FieldProblem, options: IconikOptions, budget: Budget) -> Iterator[_Stage]:
    """Field, calibration and refinement; those for which no time is left do not come."""
    given, device = problem.given, problem.given.kspace.data.device
    generator = torch.Generator(device).manual_seed(options.seed)
    judge = None if given.held_out is None else Judge(given.held_out)
    field = new_field(given, options, budget)
    problem.begin(field, budget)
    plan = plan_of(options)
    part, track = _part(budget, 0, "field"), under("field", problem.track)
    report = fit(field, given.samples, plan, part, generator, judge=judge, track=track)
    yield _Stage(report, copy.deepcopy(field))

    rows, columns = given.kspace.matrix
    spacing = options.neighbour_step * torch.tensor([2 / columns, 2 / rows])
    correction = Iconik(given.kspace.n_coils, torch.Generator().manual_seed(options.seed))
    net = CorrectedField(field, correction, spacing).to(device)
    for index, (name, phase) in enumerate((("calibrate", calibrate), ("refine", refine)), start=1):
        if budget.is_spent:
            return
        part, track = _part(budget, index, name), under(name, problem.track)
        report = phase(net, given.samples, options, part, generator, judge, track)
        yield _Stage(report, copy.deepcopy(net))


def _choose(stages: list[_Stage], failure: str) -> tuple[_Stage, str]:
    """The stage to hand over, and why it has no correction or no refinement."""
    field, *corrected = stages
    if field.report.held_out:
        best = min(stages, key=lambda stage: min(stage.report.held_out))
        reason = "it predicts held-out spokes no better" if corrected else "no time was left"
    else:
        # Half a calibration may be worse than none, and nobody is there to judge it.
        is_calibrated = bool(corrected) and corrected[0].report.stopped != "deadline"
        best = stages[-1] if is_calibrated else field
        reason = "no time was left"
    if best is field:
        return best, f"without the correction: {failure or reason}"
    return best, f"without the refinement: {failure}" if failure else ""


def _joined(reports: list[FitReport]) -> FitReport:
    """One report of all stages; it stopped as the last of them did."""
    before = [sum(report.steps for report in reports[:stage]) for stage in range(len(reports))]
    return replace(
        reports[-1],
        judged_at=[
            first + step for first, report in zip(before, reports, strict=True) for step in report.judged_at
        ],
        steps=sum(report.steps for report in reports),
        best_step=sum(report.steps for report in reports[:-1]) + reports[-1].best_step,
        losses=[loss for report in reports for loss in report.losses],
        held_out=[error for report in reports for error in report.held_out],
    )


def _part(budget: Budget, index: int, label: str) -> Budget:
    """The share of the time left that a stage may take, and its share in the progress."""
    seconds = time.monotonic() - budget.started + _SHARES[index] * budget.left_s
    report = part_of(budget.report, index, len(_SHARES), label)
    return replace(budget, seconds=min(seconds, budget.seconds), report=report)


def _need(size: Size, options: IconikOptions) -> float:
    """Memory of a fit: the series and the weights, refinement, and the corrected field as it is looked at.

    Every neighbourhood takes nine evaluations of the field. What is freed between the stages is in pieces.
    """
    looked_at = 9 * min(TOGETHER, size.matrix[0] * size.matrix[1])
    net = field_need(size, options)
    steps = net.with_graph(max(options.batch, 9 * options.neighbourhoods))
    return series_need(size) + net.parameters + steps + net.without_graph(looked_at)


METHOD = Method(run, IconikOptions, _need, griddings=16.0)
