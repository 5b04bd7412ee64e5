"""Spatiotemporal INR as published: one field of (x, y, t), fitted through coil maps and NUFFT.

Minimises, over a hash grid of three dimensions and a ReLU network that give the image m ::

    mean |F S m - y|^2 / (|F S m|^2 + eps) + lambda_T mean |m[t+1] - m[t]| / max |m|
        + lambda_R |M|_* / n_frames

The first two terms are the sum of that of the real and that of the imaginary parts; denominator and largest
magnitude are held fixed; ``|M|_*`` is the nuclear norm of the series as a matrix of frames and pixels. The
levels of the grid are unlocked one after the other, the last one with the last sixteenth of the steps. Feng
et al., doi:10.1109/TMI.2025.3526452. Departures: the table of the grid is smaller, unless set otherwise; the
parameters are the last ones, where the paper's experiments chose them by the truth; the first output is
scaled to the scan, by the largest magnitude of its time average, the unit of image and k-space above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.image_field import SpaceTimeField, SpaceTimeOptions
from python_recon.fields.view import View
from python_recon.fitting import needs
from python_recon.fitting.descent import Descent, FitReport, adam, descend, stepping
from python_recon.fitting.gathered import Gathered, gather
from python_recon.fitting.keeping import KeepingOptions
from python_recon.fitting.precision import mixed_precision
from python_recon.fitting.shrinking import within_memory
from python_recon.methods.bounds import FitSteps, Seed
from python_recon.methods.field_problem import FieldProblem
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace_inr import PATIENCE, amplitude_of
from python_recon.operators.nufft import Library
from python_recon.operators.sense import Sense
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_LEAST_BATCH = 1 << 12
_MOST_ON_CPU = 1 << 16
"""Points of a batch that gain anything on a CPU."""


class StInrPaperOptions(SpaceTimeOptions, KeepingOptions):
    """Options of ``st_inr_paper``."""

    implementation: ClassVar[str] = "st_inr_paper"

    steps: FitSteps = 1600
    """Full-batch steps."""
    learning_rate: float = Field(1e-3, gt=0, le=1e38)
    """Of Adam; halved at half of the steps."""
    weight_decay: float = Field(1e-6, ge=0, le=1e6)
    """Of the network, not of the grid."""
    temporal_variation: float = Field(0.02, ge=0, le=1e6)
    """lambda_T."""
    nuclear_norm: float = Field(2e-4, ge=0, le=1e6)
    """lambda_R."""
    epsilon: float = Field(1e-4, gt=0, le=1000)
    """eps, in squares of the unit."""
    unlocking: float = Field(1.0, ge=0, le=1)
    """Share of the steps in which the levels of the grid are unlocked, from the coarsest on, at equal
    distances; 0: all from the first step."""
    batch: int = Field(1 << 21, ge=1, le=10_000_000)
    """Points whose graph is in memory at a time on a GPU, some 10 kB each, fewer where it holds less; the
    steps do not depend on it. A CPU takes some ten thousand."""
    seed: Seed = 0
    """Of the first values."""

    def smaller(self) -> Self | None:
        """With a smaller batch, or else fewer levels, unless the field of a checkpoint is to go on."""
        if self.batch > _LEAST_BATCH:
            return self.model_copy(update={"batch": max(self.batch // 4, _LEAST_BATCH)})
        if self.levels == 1 or self.resume:
            return None
        return self.model_copy(update={"levels": max(self.levels - 4, 1)})


@dataclass(frozen=True)
class Objective:
    """The loss as a function of a series of images (frame, y, x), in the unit."""

    sense: Sense
    data: torch.Tensor
    """(frame, coil, spoke, readout)."""
    weights: torch.Tensor
    """(frame, 1, spoke, 1), 1 for spokes measured in the time of their frame; else 0."""
    options: StInrPaperOptions
    is_periodic: bool = False
    """Whether the first frame follows the last."""

    def slope(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient with respect to the images, and the data term."""
        leaf = images.detach().requires_grad_()
        data_term = self._misfit(leaf)
        loss = data_term + self.options.temporal_variation * _variation(leaf, self.is_periodic)
        if self.options.nuclear_norm:
            loss = loss + self.options.nuclear_norm * _nuclear_norm(leaf) / len(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return gradient, data_term.detach()

    def _misfit(self, images: torch.Tensor) -> torch.Tensor:
        predicted = torch.view_as_real(self.sense.forward(images))
        error = (predicted - torch.view_as_real(self.data)).square()
        relative = error / (predicted.detach().square() + self.options.epsilon)
        n_measured = self.weights.sum() * self.data.shape[1] * self.data.shape[3]
        return (self.weights[..., None] * relative).sum() / n_measured


def run(kspace: KSpace, maps: CoilMaps, options: StInrPaperOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the field that it has."""
    problem = FieldProblem(gather(kspace, maps, "scan", held_out_share=0.0), options)
    (net, report), taken = within_memory(lambda chosen: _fitted(problem, chosen, budget), options)
    return problem.with_options(taken).reconstruction(net, None, report)


def _fitted(
    problem: FieldProblem, options: StInrPaperOptions, budget: Budget
) -> tuple[SpaceTimeField, FitReport]:
    """The field and what became of its fit."""
    given = problem.given
    net, view = new_field(given, options), View.whole(given.kspace.matrix)
    goes_on = problem.begin(net, budget)
    objective = objective_of(given, float(net.amplitude) * given.scale, options)
    t = given.frame_coordinates

    def backward(done: float) -> torch.Tensor:
        unlocked = net.grid.level_weights(_n_unlocked(1.0 if goes_on else done, options))
        return _accumulate(net, objective, t, view, unlocked)

    groups: list[dict[str, Any]] = [
        {"params": list(net.grid.parameters())},
        {"params": list(net.network.parameters()), "weight_decay": options.weight_decay},
    ]
    optimiser = adam(groups, options.learning_rate, t.device)
    descent = Descent("fit", options.steps, lambda done: 1.0 if done < 0.5 else 0.5, PATIENCE)
    return net, descend(net, optimiser, stepping(optimiser, backward), descent, budget, track=problem.track)


def objective_of(given: Gathered, unit: float, options: StInrPaperOptions) -> Objective:
    """The loss of all spokes that were measured in the time of their frames."""
    kspace = given.kspace
    own = torch.as_tensor(given.kept, dtype=torch.float32, device=kspace.data.device)
    # The gridder transforms the frames together. cufinufft would take them one by one, and wait after each.
    library: Library = "gridder" if kspace.data.is_cuda else "auto"
    return Objective(
        sense=Sense(kspace, given.maps, library=library),
        data=kspace.data / unit,
        weights=own[:, None, :, None],
        options=options,
        is_periodic=kspace.is_periodic,
    )


def new_field(given: Gathered, options: StInrPaperOptions) -> SpaceTimeField:
    """An untrained field."""
    generator = torch.Generator().manual_seed(options.seed)
    net = SpaceTimeField(amplitude_of(given), options, generator)
    return net.to(given.kspace.data.device)


def _accumulate(
    net: SpaceTimeField,
    objective: Objective,
    t: torch.Tensor,
    view: View,
    level_weights: torch.Tensor,
) -> torch.Tensor:
    """Leave the gradient of the objective in the parameters; the data term.

    The frames are coupled, so their images are made first, without a graph, then once more a few at a time
    to hand the gradient on: the memory is that of few frames, at the price of a second evaluation.
    """

    def images(frames: slice) -> torch.Tensor:
        with mixed_precision(t.device):
            return net.images(t[frames], view, level_weights) / net.amplitude

    chunks = list(_chunks(len(t), view.matrix, objective.options.batch, t.device.type))
    if len(chunks) == 1:
        series = images(chunks[0])
        slope, data_term = objective.slope(series)
        series.backward(slope)  # type: ignore[no-untyped-call]
        return data_term
    with torch.no_grad():
        series = torch.cat([images(chunk) for chunk in chunks])
    slope, data_term = objective.slope(series)
    for chunk in chunks:
        images(chunk).backward(slope[chunk])  # type: ignore[no-untyped-call]
    return data_term


def _chunks(n_frames: int, matrix: tuple[int, int], batch: int, device: str) -> Iterator[slice]:
    most = min(batch, _MOST_ON_CPU) if device == "cpu" else batch
    together = max(1, most // (matrix[0] * matrix[1]))
    return (slice(start, start + together) for start in range(0, n_frames, together))


def _n_unlocked(done: float, options: StInrPaperOptions) -> int:
    """Levels of the grid that take part."""
    reached = done / options.unlocking if options.unlocking else 1.0
    return min(1 + int(reached * options.levels), options.levels)


def _variation(images: torch.Tensor, is_periodic: bool) -> torch.Tensor:
    """Mean of the differences of successive frames over the largest magnitude; 0 for a single frame.

    That of the real and that of the imaginary parts are added.
    """
    if len(images) == 1:
        return images.new_zeros((), dtype=torch.float32)
    differences = images.roll(-1, 0) - images if is_periodic else torch.diff(images, dim=0)
    largest = images.detach().abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    return torch.view_as_real(differences).abs().sum(-1).mean() / largest


def _nuclear_norm(images: torch.Tensor) -> torch.Tensor:
    """Sum of the singular values of the series as a matrix of frames and pixels.

    From the eigenvalues of its small Gram matrix; values below a thousandth of the largest are told from 0
    no more in single precision and are given no slope.
    """
    series = images.flatten(1)
    energies = torch.linalg.eigvalsh(series @ series.conj().T)
    kept = energies > 1e-6 * energies.amax()
    return torch.where(kept, energies, 1.0).sqrt().mul(kept).sum()


def _need(size: Size, options: StInrPaperOptions) -> float:
    """A series, and the field on as many frames as are evaluated together, on a CPU."""
    n_pixels = size.matrix[0] * size.matrix[1]
    most = max(min(options.batch, _MOST_ON_CPU), n_pixels)
    n_points = min(most, size.n_frames * n_pixels)
    n_cells = (options.base_resolution * options.scale ** (options.levels - 1)) ** 3
    return series_need(size) + needs.image_field(n_points, 3, n_cells, options)


METHOD = Method(run, StInrPaperOptions, _need, griddings=24.0)
