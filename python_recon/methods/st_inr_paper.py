"""Spatiotemporal INR as published: one field of (x, y, t), fitted through coil maps and NUFFT.

Minimises, over a hash grid of three dimensions and a ReLU network that give the image m ::

    mean |F S m - y|^2 / (|F S m|^2 + eps) + lambda_T mean |m[t+1] - m[t]| + lambda_R |M|_* / n_frames

real and imaginary parts of the first term apart and its denominator held fixed; ``|M|_*`` is the nuclear norm
of the series as a matrix of frames and pixels. Fine levels of the grid are unlocked one after the other. Feng
et al., doi:10.1109/TMI.2025.3526452. Departures: the table of the grid is smaller, unless set otherwise; the
parameters are the last ones, where the paper's experiments chose them by the truth; the first output is
scaled to the scan, by the largest magnitude of its time average, the unit of image and k-space above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.fields.hash_grid import HashGrid
from python_recon.fields.image_field import SpaceTimeField
from python_recon.fields.image_fit import Descent, descend
from python_recon.fields.mlp import Mlp
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace_inr import ImageProblem
from python_recon.operators.sense import Sense
from python_recon.schedule import Budget

_POINTS = {"cpu": 1 << 16, "cuda": 1 << 20}
"""Points whose graph is in memory at a time; what 16 levels keep of a point takes about 10 kB."""


class StInrPaperOptions(Section):
    """Options of ``st_inr_paper``."""

    steps: int = Field(1600, ge=1)
    """Full-batch steps."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam; halved at half of the steps."""
    weight_decay: float = Field(1e-6, ge=0)
    """Of the network, not of the grid."""
    temporal_variation: float = Field(0.02, ge=0)
    """lambda_T."""
    nuclear_norm: float = Field(2e-4, ge=0)
    """lambda_R."""
    epsilon: float = Field(1e-4, gt=0)
    """eps, in squares of the unit."""
    unlocking: float = Field(0.5, ge=0, le=1)
    """Share of the steps in which the levels of the grid are unlocked, from the coarsest on."""
    levels: int = Field(16, ge=1)
    """Levels of the hash grid."""
    features: int = Field(2, ge=1)
    """Features of a level."""
    log2_table_size: int = Field(19, ge=4, le=24)
    """Most entries of a level, as a power of two; 24 was published and takes some 10 GB."""
    base_resolution: int = Field(16, ge=1)
    """Cells of the coarsest level along an axis."""
    scale: float = Field(2.0, ge=1)
    """Ratio of the resolutions of successive levels."""
    width: int = Field(128, ge=1)
    """Of the ReLU layers."""
    layers: int = Field(5, ge=1)
    """ReLU layers, the linear output not counted."""
    seed: int = 0
    """Of the first values."""


@dataclass(frozen=True)
class Objective:
    """The loss as a function of a series of images (frame, y, x), in the unit."""

    sense: Sense
    data: torch.Tensor
    """(frame, coil, spoke, readout)."""
    weights: torch.Tensor
    """(frame, 1, spoke, 1), 1 for spokes measured in the time of their frame; else 0."""
    options: StInrPaperOptions

    def slope(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient with respect to the images, and the data term."""
        leaf = images.detach().requires_grad_()
        data_term = self._misfit(leaf)
        loss = data_term + self.options.temporal_variation * _variation(leaf)
        if self.options.nuclear_norm:
            loss = loss + self.options.nuclear_norm * _nuclear_norm(leaf) / len(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return gradient, data_term.detach()

    def _misfit(self, images: torch.Tensor) -> torch.Tensor:
        predicted = torch.view_as_real(self.sense.forward(images))
        error = (predicted - torch.view_as_real(self.data)).square()
        relative = error / (predicted.detach().square() + self.options.epsilon)
        n_measured = self.weights.sum() * self.data.shape[1] * self.data.shape[3]
        return (self.weights[..., None] * relative).sum() / (2 * n_measured)


def run(kspace: KSpace, maps: CoilMaps, options: StInrPaperOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the field that it has."""
    problem = ImageProblem.from_kspace(kspace, maps, held_out_share=0.0)
    net = new_field(problem, options)
    unit = float(net.amplitude) * problem.scale
    own = torch.as_tensor(problem.kept, dtype=torch.float32, device=kspace.data.device)
    objective = Objective(Sense(kspace, maps), kspace.data / unit, own[:, None, :, None], options)
    t = problem.frame_coordinates

    def backward(done: float) -> torch.Tensor:
        unlocked = net.grid.level_weights(_n_unlocked(done, options))
        return _accumulate(net, objective, t, kspace.matrix, unlocked)

    groups: list[dict[str, Any]] = [
        {"params": list(net.grid.parameters())},
        {"params": list(net.network.parameters()), "weight_decay": options.weight_decay},
    ]
    optimiser = torch.optim.Adam(groups, options.learning_rate)
    descent = Descent("fit", options.steps, lambda done: 1.0 if done < 0.5 else 0.5)
    report = descend(net, optimiser, backward, descent, budget)
    return problem.reconstruction(net, None, report)


def new_field(problem: ImageProblem, options: StInrPaperOptions) -> SpaceTimeField:
    """An untrained field."""
    generator = torch.Generator().manual_seed(options.seed)
    grid = HashGrid(
        3,
        generator,
        n_levels=options.levels,
        n_features=options.features,
        log2_table_size=options.log2_table_size,
        base_resolution=options.base_resolution,
        scale=options.scale,
    )
    network = Mlp(grid.n_features, options.width, options.layers, 2, generator)
    return SpaceTimeField(grid, network, problem.amplitude).to(problem.kspace.data.device)


def _accumulate(
    net: SpaceTimeField,
    objective: Objective,
    t: torch.Tensor,
    matrix: tuple[int, int],
    level_weights: torch.Tensor,
) -> torch.Tensor:
    """Leave the gradient of the objective in the parameters; the data term.

    The frames are coupled, so their images are made first, without a graph, then once more a few at a time
    to hand the gradient on: the memory is that of few frames, at the price of a second evaluation.
    """

    def images(frames: slice) -> torch.Tensor:
        return net.images(t[frames], matrix, level_weights) / net.amplitude

    chunks = list(_chunks(len(t), matrix, t.device.type))
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


def _chunks(n_frames: int, matrix: tuple[int, int], device: str) -> Iterator[slice]:
    together = max(1, _POINTS[device] // (matrix[0] * matrix[1]))
    return (slice(start, start + together) for start in range(0, n_frames, together))


def _n_unlocked(done: float, options: StInrPaperOptions) -> float:
    """Levels of the grid that take part, with the fraction of the one that is fading in."""
    reached = min(1.0, done / options.unlocking) if options.unlocking else 1.0
    return 1 + reached * (options.levels - 1)


def _variation(images: torch.Tensor) -> torch.Tensor:
    """Mean magnitude of the differences between successive frames; 0 for a single one."""
    if len(images) == 1:
        return images.new_zeros((), dtype=torch.float32)
    return torch.diff(images, dim=0).abs().mean()


def _nuclear_norm(images: torch.Tensor) -> torch.Tensor:
    """Sum of the singular values of the series as a matrix of frames and pixels.

    From the eigenvalues of its small Gram matrix; values below a thousandth of the largest are told from 0
    no more in single precision and are given no slope.
    """
    series = images.flatten(1)
    energies = torch.linalg.eigvalsh(series @ series.conj().T)
    kept = energies > 1e-6 * energies.amax()
    return torch.where(kept, energies, 1.0).sqrt().mul(kept).sum()


METHOD = Method(run, StInrPaperOptions)
