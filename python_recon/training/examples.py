"""What a network on component images needs of a slice to learn from it, prepared once.

The data themselves are not needed any more: the data term is a convolution with kernels, and the pairs of
noisier data that are learned from (:mod:`python_recon.fitting.recorrupted`) are right sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from pydantic import Field

from python_recon.acquisition.spokes import select
from python_recon.config import Config, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.fitting.pairs import Pair, QuadraticLoss, Start
from python_recon.fitting.trained_model import Facts
from python_recon.judging.weights import without_auto
from python_recon.methods.bounds import GradientSteps, Seed
from python_recon.methods.component_scan import ComponentScan, unit_of
from python_recon.methods.subspace import FIRST, SubspaceOptions, SubspaceSolver
from python_recon.operators.density import fill_density
from python_recon.operators.sense import data_weights, density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels
from python_recon.resources.schedule import Budget
from python_recon.stream.preparation import prepare

_FEWEST_SPOKES = 2
"""Of a frame, for a slice that is sampled anew."""
_STRONGEST = 16.0
"""Undersampling of a frame up to which slices are sampled anew, as SSFL-Recon has it."""


class ExampleOptions(Section):
    """How slices are prepared; another setting makes other examples."""

    pairs: int = Field(4, ge=2, le=64)
    """Pairs of noisier data of a slice."""
    views: int = Field(0, ge=0, le=64)
    """Times that a slice is sampled anew, to learn features from; 0: no features are learned."""
    start_steps: GradientSteps = 6
    """Gradient steps of ``subspace`` for a pair, from the images of the scan."""
    seed: Seed = 0
    """Of the noise, and of what is sampled anew."""


@dataclass(frozen=True)
class Example:
    """A slice as networks learn from it, in a unit near its noise."""

    scan: str
    """Measurement that it belongs to."""
    facts: Facts
    noise: float
    """Standard deviation of a sample's real part."""
    noise_energy: float
    """Of all data, weighed by the density."""
    tensors: dict[str, torch.Tensor]
    """By the names below, each documented at its property."""

    NAMES = (
        "basis", "maps", "kernels", "dense_kernels", "own", "starts", "residuals", "targets", "views"
    )  # fmt: skip

    @property
    def own(self) -> torch.Tensor:
        """(component, y, x) the ``subspace`` images of the data as they are."""
        return self.tensors["own"]

    @property
    def views(self) -> torch.Tensor:
        """(view, component, y, x) those of the slice sampled anew, more sparsely."""
        return self.tensors["views"]

    @property
    def n_pairs(self) -> int:
        return len(self.tensors["starts"])

    def pair(self, number: int) -> Pair:
        """One of the pairs; (pair, component, y, x) are stored."""
        start = Start(self.tensors["starts"][number], self.tensors["residuals"][number])
        loss = QuadraticLoss(self.dense_gram, self.tensors["targets"][number], self.noise_energy)
        return Pair(start, self.gram, loss)

    @cached_property
    def gram(self) -> SubspaceGram:
        """Normal operator of the data term, from (frame, 2 y, 2 x) kernels."""
        return SubspaceGram(self.tensors["kernels"], self.tensors["maps"], self.tensors["basis"])

    @cached_property
    def dense_gram(self) -> SubspaceGram:
        """The same with the density as the weights."""
        return SubspaceGram(self.tensors["dense_kernels"], self.tensors["maps"], self.tensors["basis"])

    def to(self, device: str) -> Example:
        """The same on a device."""
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return Example(self.scan, self.facts, self.noise, self.noise_energy, tensors)


def example_of(kspace: KSpace, config: Config, options: ExampleOptions) -> Example:
    """An example of a slice, whitened and located, in NumPy arrays.

    Raises
    ------
    DataError
        If nothing can be learned from it: it is empty, not finite, or without noise.
    """
    _refuse(kspace)
    ready = prepare(kspace, config, Budget())
    prepared, maps = ready.kspace, ready.maps
    if prepared.noise is None or not prepared.noise.std:
        raise DataError("the data hold no noise: nothing is left for a network")
    prepared = prepared.in_units_of(unit_of(prepared))
    with torch.no_grad():
        return _example(ComponentScan.solve(prepared, maps, Budget()), options)


def _refuse(kspace: KSpace) -> None:
    samples = np.asarray(kspace.data)
    if not np.isfinite(samples).all():
        raise DataError("the k-space holds NaN or Inf")
    if not samples.any():
        raise DataError("the k-space is zero everywhere")


def _example(scan: ComponentScan, options: ExampleOptions) -> Example:
    kspace = scan.kspace
    pairs = scan.make_pairs(options.pairs, options, Budget())
    losses = [pair.loss for pair in pairs if isinstance(pair.loss, QuadraticLoss)]
    views = [_view(scan, options.seed + number) for number in range(options.views)]
    own = scan.solution.components
    tensors = {
        "basis": scan.solution.basis,
        "maps": scan.maps.maps,
        "kernels": point_spread_kernels(kspace.trajectory, data_weights(kspace), kspace.matrix),
        "dense_kernels": point_spread_kernels(kspace.trajectory, density_of(kspace), kspace.matrix),
        "own": own,
        "starts": torch.stack([pair.start.components for pair in pairs]),
        "residuals": torch.stack([pair.start.residual for pair in pairs]),
        "targets": torch.stack([loss.target for loss in losses]),
        "views": torch.stack(views) if views else own[None, :0],
    }
    std = kspace.noise.std if kspace.noise is not None else 0.0
    return Example(kspace.measurement_id, Facts.of(kspace), std, losses[0].noise_energy, tensors)


def _view(scan: ComponentScan, seed: int) -> torch.Tensor:
    """(component, y, x) of some of the spokes of every frame, drawn by chance, in a subspace of their own."""
    host = scan.kspace.to_numpy()
    generator = np.random.default_rng([seed, 17])
    kept = _spokes_kept(host, generator)
    order = generator.random((host.n_frames, host.n_spokes)).argsort(1).argsort(1)
    sparse = fill_density(select(host, order < kept), Config().density)
    device = str(scan.kspace.data.device)
    solver = SubspaceSolver(sparse.to_torch(device), CoilMaps(scan.maps.maps, scan.maps.source), Budget())
    return solver.solve(without_auto(SubspaceOptions(), FIRST)).components


def _spokes_kept(kspace: KSpace, generator: np.random.Generator) -> int:
    """Between all of a frame and those of the strongest undersampling; half of them at the most."""
    full = math.pi / 2 * max(kspace.matrix)
    fewest = max(min(round(full / _STRONGEST), kspace.n_spokes // 2), _FEWEST_SPOKES)
    return int(generator.integers(min(fewest, kspace.n_spokes), kspace.n_spokes, endpoint=True))
