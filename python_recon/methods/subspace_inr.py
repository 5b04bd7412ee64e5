"""Subspace INR: a neural field of component images times a temporal basis learned from the scan.

The basis V is that of :mod:`~python_recon.methods.subspace`, from a low-resolution series. The components
U(x, y), a hash grid and a small network, minimise ::

    |W^1/2 (F S V U - y)|^2 / 2 + mu sum_yx sqrt(sum_k |grad U_k|^2)

over spokes without frames: V has its values at the time of every single one.

Subspace INR: arXiv:2412.12742. Departures: V is fixed, where the paper fits a second network that starts from
it; the data term is the normal operator of the subspace, whose gradient needs FFTs only, where the paper
compares spoke by spoke; held-out spokes, not a number of steps, end the fit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.breathing import TemporalBasis
from python_recon.fields.image_field import ComponentField, ImageFieldOptions
from python_recon.fields.low_rank import LowRankStart, Places
from python_recon.fields.view import View
from python_recon.fitting import needs
from python_recon.fitting.capture import captured
from python_recon.fitting.component_data import ComponentData, joint_variation, one_frame
from python_recon.fitting.descent import (
    Descent,
    FitReport,
    Judgement,
    adam,
    cosine,
    descend,
    gradient_step,
    set_rate,
)
from python_recon.fitting.gathered import Gathered, gather
from python_recon.fitting.keeping import KeepingOptions
from python_recon.fitting.shrinking import within_memory
from python_recon.fitting.tracking import Track, untracked
from python_recon.judging.judge import Judge
from python_recon.judging.shares import Shares
from python_recon.judging.weights import Weight, number
from python_recon.methods.bounds import FitSteps, Seed
from python_recon.methods.field_problem import FieldProblem
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions, choose, temporal_basis
from python_recon.operators.reach import DISC, within_reach
from python_recon.operators.sense import data_weights
from python_recon.operators.sense_problem import right_side_noise, time_average
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_FEWEST_LEVELS, _LEAST_TABLE = 2, 10
PATIENCE = 5
"""Judgements without a better one, after which a fit of images has converged."""


class SubspaceInrOptions(ImageFieldOptions, KeepingOptions):
    """Options of ``subspace_inr``."""

    implementation: ClassVar[str] = "subspace_inr"

    steps: FitSteps = 400
    """Largest number of steps of the optimiser."""
    learning_rate: float = Field(1e-2, gt=0, le=1e38)
    """Of Adam, at first; it falls to zero along a cosine by the last step or the deadline."""
    spatial_regularisation: Weight = "auto"
    """mu in units of the noise of the data term's gradient; auto: that of least risk for ``subspace``."""
    held_out_share: float = Field(0.05, ge=0, le=0.5)
    """Share of the spokes that are held out to judge the fit by; 0: none, all steps are run."""
    seed: Seed = 0
    """Of the first weights."""

    def smaller(self) -> Self | None:
        """With fewer levels and a smaller table, unless the field of a checkpoint is to go on."""
        if self.levels <= _FEWEST_LEVELS or self.resume:
            return None
        levels = max(self.levels - 2, _FEWEST_LEVELS)
        return self.model_copy(
            update={"levels": levels, "log2_table_size": max(self.log2_table_size - 2, _LEAST_TABLE)}
        )


@dataclass(frozen=True)
class DataTerm:
    """What a field of components is fitted to."""

    data: ComponentData
    noise: torch.Tensor
    """Of a pixel of its right side."""


def run(kspace: KSpace, maps: CoilMaps, options: SubspaceInrOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    given = gather(kspace, maps, "scan", options.held_out_share)
    problem = FieldProblem(given, options)
    subspace, weight = SubspaceOptions(), options.spatial_regularisation
    if weight == "auto":
        subspace = choose(given.fitted_kspace, maps, subspace, budget)
        weight = number(subspace.spatial_regularisation)
    basis = temporal_basis(given.fitted_kspace, maps, subspace, budget)

    def attempt(chosen: SubspaceInrOptions) -> tuple[ComponentField, FitReport]:
        net = new_field(given, given.temporal(basis), chosen)
        problem.begin(net, budget)
        term, judge = data_term(given, net.temporal), held_out_judge(given, net)
        fit = ComponentFit(net, chosen, term, judge, chosen.steps, problem.track)
        return net, fit.run(weight, chosen.steps, budget)

    (net, report), taken = within_memory(attempt, options)
    return problem.with_options(taken).reconstruction(net, None, report)


def new_field(given: Gathered, temporal: TemporalBasis, options: SubspaceInrOptions) -> ComponentField:
    """An untrained field."""
    generator = torch.Generator().manual_seed(options.seed)
    net = ComponentField(temporal, amplitude_of(given), given.kspace.matrix, options, generator)
    return net.to(given.kspace.data.device)


def amplitude_of(given: Gathered) -> float:
    """Largest magnitude of the time average, in units of the largest sample."""
    return float(time_average(given.fitted_kspace, given.maps).abs().amax()) / given.scale


class ComponentFit:
    """Fits of a field to the spokes that are kept; all begin alike and take the same steps, captured once.

    Parameters
    ----------
    net
        Where it is now, all fits begin.
    judge
        Of this field.
    n_steps
        Of all fits together.
    """

    def __init__(
        self,
        net: ComponentField,
        options: SubspaceInrOptions,
        term: DataTerm,
        judge: Judgement | None,
        n_steps: int,
        track: Track = untracked,
    ) -> None:
        device = net.amplitude.device
        self._net, self._data, self._judge, self._track = net, term.data, judge, track
        self._rate, self._first = options.learning_rate, copy.deepcopy(net.state_dict())
        self._view = View.whole(net.matrix)
        self._optimiser = adam(net.parameters(), options.learning_rate, device)
        self._unit = term.noise
        self._weight = torch.zeros((), device=device)
        step = gradient_step(self._optimiser, self._backward)
        captures = options.compiled == "auto"
        self._step = captured(step, self._optimiser, device, n_steps) if captures else step

    def run(self, spatial_regularisation: float, steps: int, budget: Budget) -> FitReport:
        """One of them; raises BackendError where it diverges."""
        self._begin()
        self._weight.copy_(spatial_regularisation * self._unit)
        descent = Descent("fit", steps, cosine, PATIENCE)
        return descend(
            self._net,
            self._optimiser,
            lambda *_: self._step(),
            descent,
            budget,
            self._judge,
            self._track,
        )

    def _begin(self) -> None:
        """Field and optimiser as they were at first, in the memory that a captured step knows."""
        self._net.load_state_dict(self._first)
        for state in self._optimiser.state.values():
            for moment in state.values():
                moment.zero_()
        for group in self._optimiser.param_groups:
            set_rate(group, self._rate)

    def _backward(self) -> torch.Tensor:
        """Leaves the gradients of the functional in the parameters, and gives the misfit."""
        components = self._net.components(self._view)
        slope, misfit = self._data.slope(components.detach())
        loss = (slope.conj() * components).real.sum()
        loss = loss + self._weight * joint_variation(components, self._net.amplitude)
        (loss / self._data.energy).backward()  # type: ignore[no-untyped-call]
        return misfit


def data_term(given: Gathered, temporal: TemporalBasis) -> DataTerm:
    """Of the spokes that are kept, each at its own time, in units of the scale."""
    spokes = one_frame(given.fitted_kspace.in_units_of(given.scale))
    curves = temporal(given.spoke_coordinates).flatten(0, 1)
    noise = right_side_noise(spokes, data_weights(spokes))
    return DataTerm(ComponentData.of_spokes(spokes, given.maps, curves), noise)


def held_out_judge(
    given: Gathered, net: ComponentField, start: LowRankStart | None = None
) -> Judgement | None:
    """Judges a field, or what it adds to the components of a start, by the held-out spokes."""
    held_out = given.held_out
    if held_out is None:
        return None
    judge = Judge(held_out, None if start is None else start.signal(held_out.k, held_out.t))
    places = {id(k): Places(k, t, given.maps.maps, net.temporal) for k, t in judge.places}
    view = View.whole(given.kspace.matrix)

    @torch.no_grad()
    def judgement() -> tuple[float, Shares]:
        components = net.components(view)
        if start is not None:
            components = within_reach(components - start.pixels, DISC)
        return judge(lambda k, _t: torch.stack(list(places[id(k)].signals(components))))

    return judgement


def components_need(size: Size, options: SubspaceInrOptions) -> float:
    """Memory of a fit: a series, and the field on all pixels."""
    n_pixels = size.matrix[0] * size.matrix[1]
    n_cells = (options.cells_per_pixel * max(size.matrix)) ** 2
    return series_need(size) + needs.image_field(n_pixels, 2, n_cells, options)


METHOD = Method(run, SubspaceInrOptions, components_need, griddings=12.0)
