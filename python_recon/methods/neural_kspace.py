"""Neural k-space: a field of k-space and time fitted to the samples, with or without PISCO.

Minimises the HDR loss ``mean |f(k, t) - y|^2 / (|f(k, t)| + eps)^2`` over the measured samples and, where
``pisco_weight`` is not 0, that weight times the PISCO loss: the part of f that no linear kernel between
neighbours in k-space, the same for a whole set of them, explains. Images are the Cartesian query of f,
transformed and combined with the coil maps.

The presets ``nik``, ``pisco`` and ``pisco_dist`` are ours: few temporal functions instead of time as an input
(see :class:`~python_recon.fields.field.SeparableField`), PISCO on tiles that are evaluated once, stopping by
held-out spokes. PISCO's f is the sum of a subspace reconstruction and a network; the network's share in it
and the weight of PISCO are what the held-out spokes ask for. ``nik_paper``, ``pisco_paper`` and
``pisco_dist_paper`` are as published: Huang et al., arXiv:2212.08479; Spieker et al.,
doi:10.1016/j.media.2025.103890 and arXiv:2404.08350.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.breathing import TemporalBasis
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fitting import needs
from python_recon.fitting.consistency import Consistency, ScatteredConsistency, TileConsistency
from python_recon.fitting.descent import FitReport
from python_recon.fitting.fit import FitPlan, fit
from python_recon.fitting.gathered import Gathered, TimeKind, gather
from python_recon.fitting.keeping import KeepingOptions
from python_recon.fitting.pisco_weight import PiscoWeight, number_of, weight_judge, weight_told
from python_recon.fitting.shrinking import within_memory
from python_recon.judging.judge import Judge
from python_recon.judging.weight_trials import WEIGHTS
from python_recon.losses import kernels_of, tile_size
from python_recon.methods.bounds import FitSteps, Seed
from python_recon.methods.field_problem import FieldProblem, JudgedStart, start_alone
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions, temporal_basis
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_LEAST_BATCH = 128


class FitOptions(FieldOptions, KeepingOptions):
    """Options that all neural k-space methods share."""

    time: TimeKind = "scan"
    """The field's time: of the scan; between R waves (periodic); or the position of the breath (of its
    waveform, or self-gated). Where R waves or breath cannot be told it is that of the scan; where frames are
    phases of the beat, that of the beat."""
    steps: FitSteps = 600
    """Largest number of steps of the optimiser."""
    batch: int = Field(2048, ge=1, le=10_000_000)
    """Samples, of all coils, to a step."""
    learning_rate: float = Field(3e-4, gt=0, le=1e38)
    """Learning rate of Adam."""
    anneals: bool = True
    """Whether the learning rate falls to zero, along a cosine, by the last step or the deadline."""
    epsilon: float = Field(0.1, gt=0, le=1000)
    """epsilon of the HDR loss, relative to the largest sample. Published is 0.01, which neglects the centre
    of k-space where the noise is above that."""
    outer_weight: float = Field(0.0, ge=0, le=1e6)
    """Weight of the part of the HDR loss that damps the outer k-space (f in the paper)."""
    held_out_share: float = Field(0.05, ge=0, le=0.5)
    """Share of the spokes that are held out to judge the fit by; 0: none, all steps are run."""
    seed: Seed = 0
    """Seed of all random numbers."""

    def smaller(self) -> Self | None:
        """With half of the batch."""
        return self.model_copy(update={"batch": self.batch // 2}) if self.batch > _LEAST_BATCH else None


class NeuralKSpaceOptions(FitOptions):
    """Options of ``nik``, ``pisco``, ``pisco_dist`` and their published forms."""

    implementation: ClassVar[str] = "neural_kspace"
    start: Literal["none", "subspace"] = "none"
    """What the network is added to: nothing, or a subspace reconstruction."""
    pisco_weight: PiscoWeight = 0.0
    """Weight of PISCO; 0: none. held_out: the one of 0, 0.005, 0.02 and 0.05 whose images predict held-out
    spokes best after a short trial; 0.02 where no spokes can be held out."""
    pisco_variant: Literal["residual", "all_pairs", "distance"] = "residual"
    """What is compared: targets with their own kernel or with all, or the kernels."""
    pisco_form: Literal["tiles", "published"] = "tiles"
    """tiles: tiles of the grid, added to the data term; published: scattered targets, in separate steps."""
    pisco_sets: int = Field(6, ge=1, le=10_000)
    """Sets of k-space to a step."""
    pisco_from: float = Field(0.2, ge=0, lt=1)
    """Share of the steps, at the beginning, that are made without PISCO."""


def run(kspace: KSpace, maps: CoilMaps, options: NeuralKSpaceOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    given = gather(kspace, maps, options.time, options.held_out_share, wraps=options.wraps)
    problem = FieldProblem(given, options)
    if options.start == "subspace" and given.held_out is None:
        return start_alone(problem, budget)
    start = JudgedStart.solve(given, budget) if options.start == "subspace" else None

    def attempt(chosen: NeuralKSpaceOptions) -> tuple[KSpaceField, FitReport, str]:
        return _fitted(problem, chosen, start, budget)

    (net, report, comment), taken = within_memory(attempt, options)
    final = None if start is None else start.final(budget)
    problem = problem.with_options(taken)
    if report.chosen:  # so that a checkpoint tells it
        taken = taken.model_copy(update={"pisco_weight": report.chosen["consistency_weight"]})
    return replace(problem, options=taken).reconstruction(net, final, report, comment)


def _fitted(
    problem: FieldProblem, options: NeuralKSpaceOptions, start: JudgedStart | None, budget: Budget
) -> tuple[KSpaceField, FitReport, str]:
    """The field, what became of its fit, and what the data did not allow."""
    first = None if start is None else start.first
    given = problem.given
    net = new_field(given, options, budget)
    problem.begin(net, budget)
    consistency, comment = _consistency(given, options, first)
    judge = _judge(given, first)
    weight = options.pisco_weight
    report = fit(
        net,
        given.samples,
        _plan(options),
        budget if start is None else start.rest_of(budget),
        torch.Generator(given.samples.k.device).manual_seed(options.seed),
        judge=judge,
        offset=None if first is None else first.signal(given.samples.k, given.samples.t),
        consistency=consistency,
        choose_weight=weight_judge(weight, net, given.maps, judge),
        track=problem.track,
    )
    told = "" if consistency is None else weight_told(weight, report, judge is not None)
    return net, report, comment or told


def new_field(given: Gathered, options: FitOptions, budget: Budget) -> KSpaceField:
    """An untrained field."""

    def learned_basis() -> TemporalBasis:
        return given.temporal(temporal_basis(given.fitted_kspace, given.maps, SubspaceOptions(), budget))

    return build_field(
        options,
        given.kspace.n_coils,
        given.kspace.data.device,
        given.axis.kind,
        learned_basis if given.has_frame_basis else None,
        options.seed,
    )


def _plan(options: NeuralKSpaceOptions) -> FitPlan:
    """Of a fit with PISCO."""
    has_own_steps = options.pisco_form == "published"
    return replace(
        plan_of(options),
        consistency_weight=number_of(options.pisco_weight),
        consistency_from=options.pisco_from,
        has_own_steps=has_own_steps,
        uses_amsgrad=has_own_steps and options.pisco_variant != "distance",
    )


def plan_of(options: FitOptions) -> FitPlan:
    """The plan of a fit without PISCO."""
    return FitPlan(
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        anneals=options.anneals,
        epsilon=options.epsilon,
        outer_weight=options.outer_weight,
        is_captured=options.compiled == "auto",
    )


def _judge(given: Gathered, start: LowRankStart | None) -> Judge | None:
    held_out = given.held_out
    if held_out is None:
        return None
    return Judge(held_out, None if start is None else start.signal(held_out.k, held_out.t))


def _consistency(
    given: Gathered, options: NeuralKSpaceOptions, start: LowRankStart | None
) -> tuple[Consistency | None, str]:
    """PISCO, or why there is none."""
    kspace = given.kspace
    if options.pisco_weight == 0:
        return None, ""
    if kspace.n_coils == 1:
        return None, "one coil has no neighbours to learn from: fitted without PISCO"
    if options.pisco_form == "tiles":
        module: TileConsistency | ScatteredConsistency = TileConsistency(
            kspace.n_coils,
            kspace.matrix,
            n_tiles=options.pisco_sets,
            variant=options.pisco_variant,
            start=start,
            span=given.axis.span,
        )
    else:
        module = ScatteredConsistency(
            kspace.n_coils,
            kspace.n_samples,
            options.pisco_variant,
            given.samples.k,
            options.pisco_sets,
            span=given.axis.span,
        )
    return module.to(kspace.data.device), ""


def _need(size: Size, options: NeuralKSpaceOptions) -> float:
    """Memory of a fit: the series and the weights, and the steps or, larger, the field as it is looked at."""
    held_out = options.held_out_share * size.n_frames * size.n_spokes * size.n_samples
    looked_at = max(size.matrix[0] * size.matrix[1], min(held_out, needs.LOOKED_AT))
    net = field_need(size, options)
    learned, asked = _consistency_points(size.n_coils, options)
    steps = max(net.with_graph(options.batch), net.with_graph(learned) + net.without_graph(asked))
    weights = net.parameters
    if options.pisco_weight == "held_out":  # the fit where the trials begin, and where each of them ended
        weights *= 1 + (len(WEIGHTS) + 1) / 2
    return series_need(size) + weights + max(steps, net.without_graph(looked_at))


def field_need(size: Size, options: FitOptions) -> needs.FieldNeed:
    """What the field of such a slice needs."""
    return needs.FieldNeed(options, size.n_coils, min(SubspaceOptions().components, size.n_frames))


def _consistency_points(n_coils: int, options: NeuralKSpaceOptions) -> tuple[float, float]:
    """Points at which PISCO evaluates the field in a step: those with a gradient, and the others."""
    if options.pisco_weight == 0 or n_coils == 1:
        return 0, 0
    is_distance = options.pisco_variant == "distance"
    if options.pisco_form == "tiles":
        kernel = kernels_of("alternating")[0]
        side = tile_size(n_coils, kernel)
        inner = side if is_distance else side - 2 * kernel.reach
        return options.pisco_sets * inner**2, options.pisco_sets * (side**2 - inner**2)
    n_neighbours, n_target_coils = (8, 3) if is_distance else (6, n_coils)
    rows = options.pisco_sets * 1.1 * n_neighbours * n_coils * n_target_coils
    return (rows * n_neighbours, rows) if is_distance else (rows, rows * n_neighbours)


METHOD = Method(run, NeuralKSpaceOptions, _need, griddings=16.0)
