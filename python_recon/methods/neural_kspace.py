"""Neural k-space: a field of k-space and time fitted to the samples, with or without PISCO.

Minimises the HDR loss ``mean |f(k, t) - y|^2 / (|f(k, t)| + eps)^2`` over the measured samples and, where
``pisco_weight`` is not 0, that weight times the PISCO loss: the part of f that no linear kernel between
neighbours in k-space, the same for a whole set of them, explains. Images are the Cartesian query of f,
transformed and combined with the coil maps.

The presets ``nik``, ``pisco`` and ``pisco_dist`` are ours: few temporal functions instead of time as an input
(see :class:`~python_recon.fields.field.SeparableField`), PISCO on tiles that are evaluated once, stopping by
held-out spokes. PISCO's f is the sum of a subspace reconstruction and a network; the network's share in it is
what the held-out spokes ask for. ``nik_paper``, ``pisco_paper`` and ``pisco_dist_paper`` are as published:
Huang et al., arXiv:2212.08479; Spieker et al., doi:10.1016/j.media.2025.103890 and arXiv:2404.08350.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from python_recon.acquisition.gating import respiratory_position
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.checkpoint import Origin, path_of_slice, save
from python_recon.fields.consistency import ScatteredConsistency, TileConsistency
from python_recon.fields.field import KSpaceField
from python_recon.fields.fit import Consistency, FitPlan, FitReport, fit
from python_recon.fields.fitted import FittedField
from python_recon.fields.judge import Judge
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.samples import Samples, frame_times, spoke_times
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fields.tracking import tensorboard, untracked
from python_recon.fields.warm_start import resume, take_over
from python_recon.held_out import own_spokes
from python_recon.methods.field_problem import FieldProblem, hold_out, low_rank_start
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions, solve, temporal_basis
from python_recon.schedule import Budget

_log = logging.getLogger(__name__)


class FitOptions(FieldOptions):
    """Options that all neural k-space methods share."""

    time: Literal["scan", "cardiac", "breathing"] = "scan"
    """The field's time: of the scan; between R waves (periodic; needs R-wave stamps); or the position of the
    breath (self-gated)."""
    steps: int = Field(600, ge=1)
    """Most steps of the optimiser."""
    batch: int = Field(2048, ge=1)
    """Samples, of all coils, to a step."""
    learning_rate: float = Field(3e-4, gt=0)
    """Of Adam."""
    anneals: bool = True
    """Whether the learning rate falls to zero, along a cosine, by the last step or the deadline."""
    epsilon: float = Field(1e-2, gt=0)
    """Of the HDR loss, relative to the largest sample."""
    outer_weight: float = Field(0.0, ge=0)
    """Weight of the HDR loss's second term, on the outer k-space (f)."""
    held_out_share: float = Field(0.05, ge=0, le=0.5)
    """Share of the spokes that are held out to judge the fit by; 0: none, all steps are run."""
    seed: int = 0
    """Of everything random."""
    checkpoint: str = Field("", pattern=r"^$|\.safetensors$")
    """File (.safetensors) to save the field to; the numbers of slice, contrast and set, where they are not 0,
    are added to its name. Empty: none."""
    resume: str = Field("", pattern=r"^$|\.safetensors$")
    """Checkpoint of the same scan to go on from, its name completed in the same way. Empty: none."""
    tensorboard: str = ""
    """Folder for the figures of the fit, which TensorBoard shows (an extra). Empty: none."""


class NeuralKSpaceOptions(FitOptions):
    """Options of ``nik``, ``pisco``, ``pisco_dist`` and their published forms."""

    start: Literal["none", "subspace"] = "none"
    """What the network is added to: nothing, or a subspace reconstruction."""
    pisco_weight: float = Field(0.0, ge=0)
    """Weight of PISCO; 0: none."""
    pisco_variant: Literal["residual", "all_pairs", "distance"] = "residual"
    """What is compared: targets with their own kernel or with all, or the kernels."""
    pisco_form: Literal["tiles", "published"] = "tiles"
    """Tiles of the grid, added to the data term; or scattered targets, in steps of their own."""
    pisco_sets: int = Field(6, ge=1)
    """Sets of k-space to a step."""
    pisco_from: float = Field(0.2, ge=0, lt=1)
    """Share of the steps that the data term has for itself."""


@dataclass(frozen=True)
class Problem(FieldProblem):
    """A slice as a field of k-space sees it."""

    samples: Samples
    """Of the spokes that are fitted."""
    options: FitOptions

    @classmethod
    def from_kspace(cls, kspace: KSpace, maps: CoilMaps, options: FitOptions) -> Problem:
        """The samples on the device of the k-space; raises DataError where all of them are zero."""
        scale = float(kspace.data.abs().amax())
        if scale == 0:
            raise DataError("all samples are zero: there is nothing to fit")
        axis = time_axis(kspace, options.time)
        kept, held_out, comment = hold_out(kspace, axis, scale, options.held_out_share)
        return cls(
            kspace=kspace,
            maps=maps,
            axis=axis,
            scale=scale,
            kept=kept,
            held_out=held_out,
            comment=comment,
            samples=Samples.of_spokes(kspace, kept, axis, scale),
            options=options,
        )

    def reconstruction(self, fitted: FittedField, report: FitReport, comment: str) -> Reconstruction:
        """Images of the frames, and what became of the fit; the field is saved where that is wanted."""
        images = torch.cat(list(fitted.render(frame_times(self.kspace))))
        told = "; ".join(filter(None, [self.comment, comment, self._save(fitted)]))
        return Reconstruction(images, asdict(report), state=fitted, comment=told)

    def _save(self, fitted: FittedField) -> str:
        """Why the field could not be saved; images that are done are not given up for that."""
        if not self.options.checkpoint:
            return ""
        path = path_of_slice(self.options.checkpoint, self.kspace.counters)
        try:
            save(fitted, path, "neural_kspace", self.options, Origin.of(self.kspace))
        except ConfigError as error:
            _log.warning("%s", error)
            return str(error)
        _log.info("the field is saved in %s", path)
        return ""


def run(kspace: KSpace, maps: CoilMaps, options: NeuralKSpaceOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    problem = Problem.from_kspace(kspace, maps, options)
    if options.start == "subspace" and problem.held_out is None:
        return _start_alone(problem, budget)
    start, began = None, time.monotonic()
    if options.start == "subspace":
        start = low_rank_start(problem, problem.fitted_kspace, budget)
    again_s = 1.5 * (time.monotonic() - began) if start else 0.0
    generator = torch.Generator(kspace.data.device).manual_seed(options.seed)
    net = new_field(problem, options, budget)
    consistency, comment = _consistency(problem, options, start)
    report = fit(
        net,
        problem.samples,
        plan_of(options, options.pisco_weight, options.pisco_from, options.pisco_form == "published"),
        replace(budget, seconds=budget.seconds - again_s),
        generator,
        judge=_judge(problem, start),
        offset=None if start is None else start.signal(problem.samples.k, problem.samples.t),
        consistency=consistency,
        track=tensorboard(options.tensorboard) if options.tensorboard else untracked,
    )
    if start is not None and budget.left_s > again_s / 2:
        start = low_rank_start(problem, kspace, budget)  # with the held-out spokes
    fitted = FittedField(net, start, report.share, problem.samples.scale, maps.maps, problem.axis)
    return problem.reconstruction(fitted, report, comment)


def new_field(problem: Problem, options: FitOptions, budget: Budget) -> KSpaceField:
    """A field to be fitted: untrained, or where a former fit ended.

    Raises
    ------
    DataError
        If the checkpoint to go on from is none, or of another scan or kind.
    """

    def learned_basis() -> SplineBasis:
        basis = temporal_basis(problem.fitted_kspace, problem.maps, SubspaceOptions(), budget)
        # Eigenvectors have no sign of their own; without one, rounding would decide what the seed means.
        peaks = basis.gather(0, basis.abs().argmax(0, keepdim=True))
        return problem.temporal(basis * peaks.sign())

    net = build_field(
        options,
        problem.kspace.n_coils,
        problem.samples.k.device,
        problem.axis.kind,
        learned_basis,
        options.seed,
    )
    if options.resume:
        path = path_of_slice(options.resume, problem.kspace.counters)
        resume(net, path, problem.kspace, problem.samples.scale)
    elif isinstance(budget.start, FittedField):
        take_over(net, budget.start)
    return net


def time_axis(kspace: KSpace, kind: str) -> TimeAxis:
    """Time coordinate of a field; raises DataError where the scan does not tell it."""
    if kind == "cardiac":
        if kspace.physiology_s is None:
            raise DataError("there are no R-wave stamps: set options.time to scan")
        return TimeAxis.from_physiology(frame_times(kspace), kspace.physiology_s[:, 0])
    own = own_spokes(kspace)  # padding has no time
    times = spoke_times(kspace)[own]
    if kind == "breathing":
        position = respiratory_position(kspace.to_numpy())
        if position is None:
            raise DataError("the scan is too short to tell the breath (10 s): set options.time to scan")
        return TimeAxis.from_navigator(times, position[own])
    if np.ptp(times) == 0:
        return TimeAxis("plain", float(times.min()), 1.0)
    return TimeAxis.from_times(times)


def plan_of(options: FitOptions, weight: float, begins: float, has_own_steps: bool) -> FitPlan:
    """The plan of a fit."""
    return FitPlan(
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        anneals=options.anneals,
        epsilon=options.epsilon,
        outer_weight=options.outer_weight,
        consistency_weight=weight,
        consistency_from=begins,
        has_own_steps=has_own_steps,
        uses_amsgrad=has_own_steps,
    )


def _judge(problem: Problem, start: LowRankStart | None) -> Judge | None:
    held_out = problem.held_out
    if held_out is None:
        return None
    return Judge(held_out, None if start is None else start.signal(held_out.k, held_out.t))


def _consistency(
    problem: Problem, options: NeuralKSpaceOptions, start: LowRankStart | None
) -> tuple[Consistency | None, str]:
    """PISCO, or why there is none."""
    kspace = problem.kspace
    if options.pisco_weight == 0:
        return None, ""
    if kspace.n_coils == 1:
        return None, "one coil has no neighbours to learn from: fitted without PISCO"
    if options.pisco_form == "tiles":
        module: torch.nn.Module = TileConsistency(
            kspace.n_coils,
            kspace.matrix,
            n_tiles=options.pisco_sets,
            variant=options.pisco_variant,
            start=start,
        )
    else:
        module = ScatteredConsistency(
            kspace.n_coils, kspace.n_samples, options.pisco_variant, problem.samples.k, options.pisco_sets
        )
    return module.to(kspace.data.device), ""


def _start_alone(problem: Problem, budget: Budget) -> Reconstruction:
    """The subspace reconstruction, where no spokes can be held out to judge a network by."""
    result = solve(problem.kspace, problem.maps, SubspaceOptions(), budget)
    comment = f"{problem.comment}; without a judge, the images are those of the subspace start"
    if problem.options.checkpoint:
        comment += "; there is no field to save"
    return Reconstruction(result.images, {"share": 0.0, "steps": 0}, comment=comment)


METHOD = Method(run, NeuralKSpaceOptions)
