"""Subspace INR: a neural field of component images times a temporal basis learned from the scan.

The basis V is that of :mod:`~python_recon.methods.subspace`, from a low-resolution series. The components
U(x, y), a hash grid and a small network, minimise ::

    |W^1/2 (F S V U - y)|^2 / 2 + mu sum_yx sqrt(sum_k |grad U_k|^2)

Subspace INR: arXiv:2412.12742. Departures: V is fixed, where the paper fits a second network that starts from
it; the data term is the normal operator of the subspace, whose gradient needs FFTs only, where the paper
compares spoke by spoke; held-out spokes, not a number of steps, end the fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.fields.fit import FitReport
from python_recon.fields.image_field import (
    ComponentField,
    Correction,
    FittedImages,
    ImageField,
    ImageFieldOptions,
    SeriesSignal,
)
from python_recon.fields.image_fit import (
    ComponentData,
    Descent,
    Judgement,
    cosine,
    descend,
    joint_variation,
)
from python_recon.fields.judge import Judge
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.samples import frame_times
from python_recon.fields.time_axis import SplineBasis
from python_recon.methods.field_problem import FieldProblem, hold_out
from python_recon.methods.neural_kspace import time_axis
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.sense_problem import SenseProblem, time_average
from python_recon.methods.subspace import SubspaceOptions, temporal_basis, undersampling
from python_recon.operators.sense import data_weights
from python_recon.operators.toeplitz import SubspaceGram
from python_recon.schedule import Budget


class SubspaceInrOptions(ImageFieldOptions):
    """Options of ``subspace_inr``."""

    steps: int = Field(400, ge=1)
    """Most steps of the optimiser."""
    learning_rate: float = Field(1e-2, gt=0)
    """Of Adam, at first; it falls to zero along a cosine by the last step or the deadline."""
    spatial_regularisation: float = Field(0.25, ge=0)
    """mu, in the unit of that of ``subspace``."""
    held_out_share: float = Field(0.05, ge=0, le=0.5)
    """Share of the spokes that are held out to judge the fit by; 0: none, all steps are run."""
    seed: int = 0
    """Of the first weights."""


@dataclass(frozen=True)
class ImageProblem(FieldProblem):
    """A slice as a field of images sees it."""

    @classmethod
    def from_kspace(cls, kspace: KSpace, maps: CoilMaps, held_out_share: float) -> ImageProblem:
        """A prepared slice on its device.

        Raises
        ------
        DataError
            If the samples or the coil maps are all zero, or not finite.
        """
        scale = _largest("samples", kspace.data)
        _largest("coil maps", maps.maps)
        axis = time_axis(kspace, "scan")
        kept, held_out, comment = hold_out(kspace, axis, scale, held_out_share)
        return cls(kspace, maps, axis, scale, kept, held_out, comment)

    @property
    def amplitude(self) -> float:
        """Largest magnitude of the time average, in units of the largest sample."""
        return float(time_average(self.fitted_kspace, self.maps).abs().amax()) / self.scale

    @property
    def frame_coordinates(self) -> torch.Tensor:
        """Time coordinate of every frame (frame,)."""
        return torch.as_tensor(self.axis.of(frame_times(self.kspace)), device=self.kspace.data.device)

    def reconstruction(
        self, net: ImageField | None, start: LowRankStart | None, report: FitReport, comment: str = ""
    ) -> Reconstruction:
        """Images of the frames, and what became of the fit."""
        fitted = FittedImages(
            net, start, report.share, self.scale, self.kspace.matrix, self.axis, self.kspace.data.device
        )
        images = torch.cat(list(fitted.render(frame_times(self.kspace))))
        told = "; ".join(filter(None, [self.comment, comment]))
        return Reconstruction(images, asdict(report), state=fitted, comment=told)


def run(kspace: KSpace, maps: CoilMaps, options: SubspaceInrOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best field it has."""
    problem = ImageProblem.from_kspace(kspace, maps, options.held_out_share)
    basis = temporal_basis(problem.fitted_kspace, maps, SubspaceOptions(), budget)
    net = new_field(problem, problem.temporal(basis), options, budget)
    report = fit_components(problem, net, options, budget, held_out_judge(problem, net))
    return problem.reconstruction(net, None, report)


def new_field(
    problem: ImageProblem, temporal: SplineBasis, options: SubspaceInrOptions, budget: Budget
) -> ComponentField:
    """A field to be fitted: untrained, or where the fit of the budget's start ended."""
    generator = torch.Generator().manual_seed(options.seed)
    net = ComponentField(temporal, problem.amplitude, problem.kspace.matrix, options, generator)
    net.to(problem.kspace.data.device)
    former = budget.start.net if isinstance(budget.start, FittedImages) else None
    if isinstance(former, Correction):
        former = former.field
    if isinstance(former, ComponentField):
        net.take_over(former, problem.frame_coordinates)
    return net


def fit_components(
    problem: ImageProblem,
    net: ComponentField,
    options: SubspaceInrOptions,
    budget: Budget,
    judge: Judgement | None,
) -> FitReport:
    """Fit a field to the spokes that are kept; raises BackendError where it diverges."""
    data, noise = component_data(problem, net.temporal)
    kspace = problem.fitted_kspace
    weight = options.spatial_regularisation * undersampling(kspace) * noise * kspace.n_frames**0.5

    def backward(_done: float) -> torch.Tensor:
        components = net.components(kspace.matrix)
        slope, misfit = data.slope(components.detach())
        loss = (slope.conj() * components).real.sum()
        loss = loss + weight * joint_variation(components, net.amplitude)
        (loss / data.energy).backward()  # type: ignore[no-untyped-call]
        return misfit

    optimiser = torch.optim.Adam([*net.grid.parameters(), *net.network.parameters()], options.learning_rate)
    return descend(net, optimiser, backward, Descent("fit", options.steps, cosine), budget, judge)


def component_data(problem: ImageProblem, temporal: SplineBasis) -> tuple[ComponentData, torch.Tensor]:
    """The data term of the spokes that are kept, and the noise of its right side, in units of the scale."""
    kspace, basis = problem.fitted_kspace, temporal(problem.frame_coordinates)
    frames = SenseProblem.from_kspace(kspace, problem.maps)
    right_side = torch.einsum("fk,fyx->kyx", basis.to(frames.right_side.dtype), frames.right_side)
    energy = (data_weights(kspace)[:, None] * kspace.data.abs().square()).sum()
    gram = SubspaceGram(frames.kernels, frames.maps, basis)
    data = ComponentData(gram, right_side / problem.scale, energy / problem.scale**2)
    return data, frames.noise / problem.scale


def held_out_judge(
    problem: ImageProblem, net: ComponentField, start: LowRankStart | None = None
) -> Judgement | None:
    """Judges a field, or what it adds to a start of the same basis, by the held-out spokes."""
    held_out, matrix = problem.held_out, problem.kspace.matrix
    if held_out is None:
        return None
    judge = Judge(held_out, None if start is None else start.signal(held_out.k, held_out.t))

    @torch.no_grad()
    def judgement() -> tuple[float, float]:
        components = net.components(matrix)
        if start is not None:
            components = components - start.pixels
        return judge(SeriesSignal(LowRankStart(components, problem.maps.maps, net.temporal)))

    return judgement


def _largest(name: str, values: torch.Tensor) -> float:
    """The largest magnitude, which must be a positive number."""
    largest = float(values.abs().amax())
    if not 0 < largest < float("inf"):
        fault = "all zero" if largest == 0 else "not finite"
        raise DataError(f"the {name} are {fault}: there is nothing that a field of images can be fitted to")
    return largest


METHOD = Method(run, SubspaceInrOptions)
