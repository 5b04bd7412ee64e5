"""Temporal subspace: the series as a few images times a temporal basis learned from the scan.

The basis V are the leading singular vectors of a low-resolution series, which few spokes a frame determine
well. The component images u minimise ::

    |W^1/2 (F S V u - y)|^2 / 2 + lambda sum_t |(V u)[t+1] - (V u)[t]| + mu sum_yx sqrt(sum_k |grad u_k|^2)

by accelerated proximal gradient from the time average and the changes of the low-resolution series, the two
proximal maps one after the other; the normal operator acts in the subspace and costs as many FFTs as there
are components, not frames. Feng et al. (GRASP-Pro),
doi:10.1002/mrm.28082; Tamir et al., doi:10.1002/mrm.26102. The spatial term is ours, and so is its weight:
by default that of least risk (:mod:`python_recon.judging.weights`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from pydantic import Field

from python_recon.acquisition.encoding import encoding_of
from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.judging.weights import Weight, number, tuned, wanted, without_auto
from python_recon.methods.bounds import GradientSteps
from python_recon.methods.grasp import minimise_variation
from python_recon.methods.low_resolution import at_low_resolution, changes_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.differences import SpatialVariation, TotalVariation, neighbour_differences
from python_recon.operators.sense import undersampling
from python_recon.operators.sense_problem import SenseProblem, time_average
from python_recon.operators.toeplitz import SenseGram, SubspaceGram
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget, Steps, silent
from python_recon.solvers.fista import Proximal, accelerated_proximal_gradient

_MOST_STEPS = 16
_STEPS_OF_LINES = 40
FIRST = {"spatial_regularisation": 0.4, "regularisation": 1.5}
"""Weights from which the search begins, and which are taken where there is no time for one."""


class SubspaceOptions(Section):
    """Options of ``subspace``."""

    components: int = Field(8, ge=1, le=256)
    """Dimension of the temporal subspace."""
    iterations: GradientSteps | None = None
    """Gradient steps; None: as many as the undersampling of a frame asks for, 16 at most."""
    regularisation: Weight = 1.5
    """lambda in units of the noise of the data term's gradient; auto: that of least risk."""
    spatial_regularisation: Weight = "auto"
    """mu in the same units; auto: that of least risk."""
    training_matrix: int = Field(40, ge=16, le=1024)
    """Matrix of the low-resolution series that gives the basis."""
    training_iterations: GradientSteps = 16
    """Gradient steps of that series."""


@dataclass(frozen=True)
class LowRank:
    """A series in its temporal subspace."""

    basis: torch.Tensor
    """(frame, component) real, orthonormal."""
    components: torch.Tensor
    """(component, y, x) complex."""
    iterations: int
    options: SubspaceOptions
    """With the weights that were taken."""

    @property
    def images(self) -> torch.Tensor:
        """(frame, y, x)."""
        return torch.einsum("fk,kyx->fyx", self.basis.to(self.components.dtype), self.components)

    @property
    def details(self) -> dict[str, object]:
        """Numbers worth keeping."""
        weights = {name: getattr(self.options, name) for name in FIRST}
        return {"iterations": self.iterations, "components": self.basis.shape[1], **weights}


def run(kspace: KSpace, maps: CoilMaps, options: SubspaceOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with what it has."""
    result = solve(kspace, maps, options, budget)

    def again(data: KSpace, its_maps: CoilMaps) -> torch.Tensor:
        return SubspaceSolver(data, its_maps, replace(budget, report=silent)).images(result.options)

    return Reconstruction(result.images, result.details, again=again)


def solve(kspace: KSpace, maps: CoilMaps, options: SubspaceOptions, budget: Budget) -> LowRank:
    """Basis and component images; weights that are to be chosen are chosen first."""
    return SubspaceSolver(kspace, maps, budget).solve(choose(kspace, maps, options, budget))


def choose(kspace: KSpace, maps: CoilMaps, options: SubspaceOptions, budget: Budget) -> SubspaceOptions:
    """The options with a number for every weight that is to be chosen."""
    trials: list[SubspaceSolver] = []

    def prepare(data: KSpace, its_maps: CoilMaps) -> Callable[[SubspaceOptions], torch.Tensor]:
        twin = trials[0] if trials and trials[0].has_places_of(data) else None
        trials.append(SubspaceSolver(data, its_maps, replace(budget, report=silent), twin))
        return trials[-1].images

    return tuned(prepare, kspace, maps, options, FIRST, budget)


class SubspaceSolver:
    """A slice that is solved with one set of weights after the other; what they share is made once.

    So is what it shares with a twin, whose samples lie at the same places.
    """

    def __init__(
        self, kspace: KSpace, maps: CoilMaps, budget: Budget, twin: SubspaceSolver | None = None
    ) -> None:
        self._kspace, self._maps, self._budget, self._twin = kspace, maps, budget, twin
        self._bases: dict[float, tuple[torch.Tensor, SubspaceGram, torch.Tensor]] = {}

    def has_places_of(self, other: KSpace) -> bool:
        """Whether another k-space has the same samples, with the same weights: it may be a twin."""
        return other.trajectory is self._kspace.trajectory and other.density is self._kspace.density

    @cached_property
    def problem(self) -> SenseProblem:
        if self._twin is not None:
            return self._twin.problem.of(self._kspace, self._maps)
        return SenseProblem.from_kspace(self._kspace, self._maps)

    @cached_property
    def _step(self) -> torch.Tensor:
        if self._twin is not None:
            return self._twin._step
        return 1 / SenseGram(self.problem.kernels, self.problem.maps).norm()

    @cached_property
    def _average(self) -> torch.Tensor:
        return time_average(self._kspace, self._maps)

    def solve(self, options: SubspaceOptions) -> LowRank:
        """Its components with these weights."""
        basis, gram, start = self._subspace(options)
        steps = Steps(self._budget, "subspace", options.iterations or steps_needed(self._kspace))
        proximal = self._variation(basis, options)
        components = accelerated_proximal_gradient(
            gram,
            projected(basis, self.problem.right_side),
            proximal,
            start,
            self._step,
            steps.planned,
            steps.is_last,
        )
        return LowRank(basis, components, steps.done, options)

    def images(self, options: SubspaceOptions) -> torch.Tensor:
        """The series (frame, y, x) with these weights."""
        return self.solve(options).images

    def gram(self, solution: LowRank) -> SubspaceGram:
        """The normal operator of the components of a solution."""
        return SubspaceGram(self.problem.kernels, self.problem.maps, solution.basis)

    def solve_noisier(
        self, solution: LowRank, gram: SubspaceGram, residual: torch.Tensor, noise: float, iterations: int
    ) -> torch.Tensor:
        """Components (component, y, x) of other data of the same object, from those of a solution.

        Parameters
        ----------
        gram
            That of the solution.
        residual
            (component, y, x) right side of what the solution leaves of the other data.
        noise
            Of the other data, relative to that of the slice; the weights rise with it.
        iterations
            Gradient steps; few are enough from so near.
        """
        options, names = solution.options, list(FIRST)
        raised = options.model_copy(update={n: noise * number(getattr(options, n)) for n in names})
        return accelerated_proximal_gradient(
            gram,
            residual + gram(solution.components),
            self._variation(solution.basis, raised),
            solution.components,
            self._step,
            iterations,
        )

    def _subspace(self, options: SubspaceOptions) -> tuple[torch.Tensor, SubspaceGram, torch.Tensor]:
        """Basis, normal operator and first components; they depend on the weight of variation over time."""
        weight = number(options.regularisation)
        if weight not in self._bases:
            low = low_resolution_series(self._kspace, self._maps, options, self._budget)
            basis = leading_components(low, options.components)
            gram = SubspaceGram(self.problem.kernels, self.problem.maps, basis)
            start = self._average + changes_of(low, self._kspace.matrix)
            self._bases = {weight: (basis, gram, projected(basis, start))}  # only the last: they are large
        return self._bases[weight]

    def _variation(self, basis: torch.Tensor, options: SubspaceOptions) -> Proximal:
        """The proximal map of both terms of regularisation, one after the other."""
        kspace, noise = self._kspace, self.problem.noise
        differences = neighbour_differences(kspace.n_frames, kspace.is_periodic).to(basis.device)
        in_time, in_space = TotalVariation(differences @ basis), SpatialVariation()
        temporal = number(options.regularisation) * noise
        spatial = number(options.spatial_regularisation) * noise
        return lambda images, step: in_space.prox(in_time.prox(images, step * temporal), step * spatial)


def projected(basis: torch.Tensor, series: torch.Tensor) -> torch.Tensor:
    """The components (component, y, x) of a series (frame, y, x)."""
    return torch.einsum("fk,fyx->kyx", basis.to(series.dtype), series)


def steps_needed(kspace: KSpace) -> int:
    """Gradient steps after which the images improve no more, from the undersampling of a single frame.

    Accelerated gradients converge with the root of the condition number, which rises with the undersampling.
    Factor and limit were found on simulated scans of 34 to 2 spokes a frame. What lines and points leave
    out is told by the coils alone, which takes more steps: 40 gain 3 to 4 dB over 7 on still scans of a third
    to a fifth of the samples.
    """
    if not encoding_of(kspace).READOUTS_ARE_ALIKE:
        return _STEPS_OF_LINES
    of_a_frame = kspace.n_frames * float(undersampling(kspace))
    return min(max(round(3.5 * math.sqrt(of_a_frame)), 1), _MOST_STEPS)


def temporal_basis(kspace: KSpace, maps: CoilMaps, options: SubspaceOptions, budget: Budget) -> torch.Tensor:
    """Orthonormal real basis (frame, component) from a low-resolution series of the same data."""
    return leading_components(low_resolution_series(kspace, maps, options, budget), options.components)


def low_resolution_series(
    kspace: KSpace, maps: CoilMaps, options: SubspaceOptions, budget: Budget
) -> torch.Tensor:
    """(frame, y, x) of the training matrix, by temporal total variation."""
    low, low_maps = at_low_resolution(kspace, maps, options.training_matrix)
    steps = Steps(budget, "temporal basis", options.training_iterations)
    differences = neighbour_differences(kspace.n_frames, kspace.is_periodic).to(kspace.data.device)
    weight = number(without_auto(options, FIRST).regularisation)
    return minimise_variation(low, low_maps, differences, weight, steps)


def leading_components(series: torch.Tensor, count: int) -> torch.Tensor:
    """The leading temporal singular vectors (frame, component) of a series, at most one a frame.

    The last of them hold a millionth of the first one's energy, and little more than what follows: single
    precision would mix them. Their sign, which they do not have of their own, is that of their product with
    numbers that no curve of a scan is orthogonal to.
    """
    curves = torch.view_as_real(series).flatten(1).double()
    vectors = torch.linalg.eigh(curves @ curves.T).eigenvectors
    leading = vectors.flip(1)[:, : min(count, len(series))]
    arbitrary = torch.arange(len(series), dtype=leading.dtype, device=leading.device).square().cos()
    return (leading * (arbitrary @ leading).sign()).to(series.real.dtype)


def _need(size: Size, options: SubspaceOptions) -> float:
    """Memory: that of a series and, where a weight is chosen, of the trials and their judge."""
    return series_need(size, options) + (4.0 * size.images if wanted(options, FIRST) else 0.0)


METHOD = Method(run, SubspaceOptions, _need)
