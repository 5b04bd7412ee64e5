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
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import nn

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError
from python_recon.fields.field import KSpaceField
from python_recon.fields.fit import FitPlan, FitReport, fit
from python_recon.fields.fitted import FittedField
from python_recon.fields.judge import Judge
from python_recon.fields.samples import Samples
from python_recon.losses import Iconik, innermost, neighbourhood
from python_recon.methods.neural_kspace import FitOptions, Problem, new_field, plan_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.schedule import Budget, part_of

_CHUNK = 4096
"""Neighbourhoods evaluated together: nine times as many points of the field."""
_SHARES = (0.4, 0.4, 1.0)
"""Of the time that is left when a stage begins."""


class IconikOptions(FitOptions):
    """Options of ``iconik`` and its published form."""

    neighbourhoods: int = Field(256, ge=1)
    """Samples, with their neighbourhoods, to a step of calibration and refinement."""
    neighbour_step: float = Field(1.0, gt=0)
    """Distance of neighbours, in steps of the Cartesian grid."""
    calibration_share: float = Field(0.4, gt=0, le=1)
    """Share of the samples, the innermost, that the convolutions are calibrated on."""
    calibration_steps: int = Field(200, ge=1)
    """Most steps of the calibration."""
    calibration_rate: float = Field(1e-2, gt=0)
    """Learning rate of the calibration."""
    refinement_steps: int = Field(100, ge=1)
    """Most steps of the refinement."""
    refinement_rate: float = Field(1e-5, gt=0)
    """Learning rate of the refinement."""


class CorrectedField(KSpaceField):
    """A field as its correction sees it.

    Parameters
    ----------
    field
        Is evaluated on neighbourhoods.
    correction
        Of as many coils.
    spacing
        (2,), distance of neighbours along kx and ky.
    """

    spacing: torch.Tensor

    def __init__(self, field: KSpaceField, correction: Iconik, spacing: torch.Tensor) -> None:
        super().__init__(field.n_coils)
        self.field, self.correction = field, correction
        self.register_buffer("spacing", spacing, persistent=False)

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def corrected(k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            values = self.field(self._around(k), t.repeat_interleave(9))
            result: torch.Tensor = self.correction(values.reshape(-1, 3, 3, self.n_coils))
            return result

        parts = zip(torch.split(k, _CHUNK), torch.split(t, _CHUNK), strict=True)
        return torch.cat([corrected(*part) for part in parts])

    def at_times(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def corrected(k: torch.Tensor) -> torch.Tensor:
            values = self.field.at_times(self._around(k), t)
            result: torch.Tensor = self.correction(values.reshape(-1, 3, 3, self.n_coils))
            return result.reshape(len(t), len(k), self.n_coils)

        return torch.cat([corrected(part) for part in torch.split(k, _CHUNK)], 1)

    def train_only(self, module: nn.Module) -> None:
        """Freeze all but one of the two, the field or the correction."""
        self.requires_grad_(False)
        module.requires_grad_(True)

    def _around(self, k: torch.Tensor) -> torch.Tensor:
        return neighbourhood(k, self.spacing).flatten(0, 2)


@dataclass(frozen=True)
class _Stage:
    """What a stage of the fit left."""

    report: FitReport
    net: KSpaceField
    """A copy: the next stage changes the field."""


def run(kspace: KSpace, maps: CoilMaps, options: IconikOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    problem = Problem.from_kspace(kspace, maps, options)
    stages, failure = [], ""
    try:
        for stage in _stages(problem, options, budget):
            stages.append(stage)
    except BackendError as error:
        if not stages:
            raise
        failure = str(error)
    chosen, comment = _choose(stages, failure)
    if options.checkpoint and isinstance(chosen.net, CorrectedField):
        problem = replace(problem, options=options.model_copy(update={"checkpoint": ""}))
        comment = "; ".join(
            filter(None, [comment, "checkpoints hold no corrections: the field is not saved"])
        )
    report = _joined([stage.report for stage in stages])
    fitted = FittedField(chosen.net, None, 1.0, problem.samples.scale, maps.maps, problem.axis)
    return problem.reconstruction(fitted, report, comment)


def calibrate(
    net: CorrectedField,
    samples: Samples,
    options: IconikOptions,
    budget: Budget,
    generator: torch.Generator,
    judge: Judge | None = None,
) -> FitReport:
    """Fit the convolutions to the innermost samples; the field stays as it is."""
    inner = innermost(samples.k, options.calibration_share)
    samples = replace(samples, k=samples.k[inner], t=samples.t[inner], values=samples.values[inner])
    net.train_only(net.correction)
    plan = _plan(options, options.calibration_steps, options.calibration_rate)
    return fit(net, samples, plan, budget, generator, judge=judge)


def refine(
    net: CorrectedField,
    samples: Samples,
    options: IconikOptions,
    budget: Budget,
    generator: torch.Generator,
    judge: Judge | None = None,
) -> FitReport:
    """Fit the field to all samples through the convolutions, which stay as they are."""
    net.train_only(net.field)
    plan = _plan(options, options.refinement_steps, options.refinement_rate)
    return fit(net, samples, plan, budget, generator, judge=judge)


def _stages(problem: Problem, options: IconikOptions, budget: Budget) -> Iterator[_Stage]:
    """Field, calibration and refinement; those for which no time is left do not come."""
    device = problem.samples.k.device
    generator = torch.Generator(device).manual_seed(options.seed)
    judge = None if problem.held_out is None else Judge(problem.held_out)
    field = new_field(problem, options, _uncorrected(budget))
    plan = plan_of(options, 0.0, 0.0, has_own_steps=False)
    report = fit(field, problem.samples, plan, _part(budget, 0, "field"), generator, judge=judge)
    yield _Stage(report, copy.deepcopy(field))

    rows, columns = problem.kspace.matrix
    spacing = options.neighbour_step * torch.tensor([2 / columns, 2 / rows])
    correction = Iconik(problem.kspace.n_coils, torch.Generator().manual_seed(options.seed))
    net = CorrectedField(field, correction, spacing).to(device)
    for index, phase in enumerate((calibrate, refine), start=1):
        if budget.is_spent:
            return
        part = _part(budget, index, phase.__name__)
        report = phase(net, problem.samples, options, part, generator, judge)
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
    return replace(
        reports[-1],
        steps=sum(report.steps for report in reports),
        best_step=sum(report.steps for report in reports[:-1]) + reports[-1].best_step,
        losses=[loss for report in reports for loss in report.losses],
        held_out=[error for report in reports for error in report.held_out],
    )


def _plan(options: IconikOptions, steps: int, rate: float) -> FitPlan:
    """Of a phase."""
    plan = plan_of(options, 0.0, 0.0, has_own_steps=False)
    return replace(plan, steps=steps, batch=options.neighbourhoods, learning_rate=rate)


def _part(budget: Budget, index: int, label: str) -> Budget:
    """The share of the time left that a stage may take, and its share in the progress."""
    seconds = time.monotonic() - budget.started + _SHARES[index] * budget.left_s
    report = part_of(budget.report, index, len(_SHARES), label)
    return replace(budget, seconds=min(seconds, budget.seconds), report=report)


def _uncorrected(budget: Budget) -> Budget:
    """A former fit's field without its correction, which is calibrated anew."""
    former = budget.start
    if isinstance(former, FittedField) and isinstance(former.net, CorrectedField):
        return replace(budget, start=replace(former, net=former.net.field))
    return budget


METHOD = Method(run, IconikOptions)
