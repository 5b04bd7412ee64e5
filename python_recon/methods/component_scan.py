"""A slice that was solved in its temporal subspace, as the networks that change its component images need it.

Shared by networks that are fitted to the scan itself and by those that were trained on other scans.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.recorrupted import NOISE_OF_A_PAIR, Pair, PairMaker, Start
from python_recon.judging.risk import Risk
from python_recon.methods.subspace import LowRank, SubspaceOptions, SubspaceSolver, choose, projected
from python_recon.operators.sense import density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels
from python_recon.resources.schedule import Budget


class PairOptions(Protocol):
    """What options of a method say of pairs of noisier data."""

    @property
    def start_steps(self) -> int:
        """Gradient steps of ``subspace`` for noisier data, from the images of the scan."""

    @property
    def seed(self) -> int:
        """Of the noise."""


def unit_of(kspace: KSpace) -> float:
    """A power of two near the noise, so that float32 holds what is computed and no digit is changed."""
    std = kspace.noise.std if kspace.noise is not None else 0.0
    return math.ldexp(1.0, math.frexp(std)[1]) if std > 0 else 1.0


@dataclass(frozen=True)
class ComponentScan:
    """A slice that is solved in its temporal subspace, and what training and result need of it."""

    kspace: KSpace
    maps: CoilMaps
    solver: SubspaceSolver
    solution: LowRank

    @classmethod
    def solve(cls, kspace: KSpace, maps: CoilMaps, budget: Budget) -> ComponentScan:
        """The start, with the weights of least risk."""
        solver = SubspaceSolver(kspace, maps, budget)
        return cls(kspace, maps, solver, solver.solve(choose(kspace, maps, SubspaceOptions(), budget)))

    @cached_property
    def gram(self) -> SubspaceGram:
        """Normal operator of the data term."""
        return self.solver.gram(self.solution)

    @cached_property
    def dense_gram(self) -> SubspaceGram:
        """The same with the density as the weights, which makes it an integral over the image."""
        kernels = point_spread_kernels(self.kspace.trajectory, density_of(self.kspace), self.kspace.matrix)
        return SubspaceGram(kernels, self.maps.maps, self.solution.basis)

    @cached_property
    def _maker(self) -> PairMaker:
        images, components = self.solution.images, self.solution.components
        grams = (self.gram, self.dense_gram)
        return PairMaker(self.kspace, self.maps, images, components, self._project, grams)

    def _project(self, series: torch.Tensor) -> torch.Tensor:
        return projected(self.solution.basis, series)

    def _noisier(self, noise: float, options: PairOptions) -> Callable[[torch.Tensor], torch.Tensor]:
        """Solves data whose noise is so many times that of the scan."""
        return lambda residual: self.solver.solve_noisier(
            self.solution, self.gram, residual, noise, options.start_steps
        )

    def make_pairs(self, wanted: int, options: PairOptions, budget: Budget) -> list[Pair]:
        """As many as are wanted; fewer where the time is up."""
        pairs = list[Pair]()
        solve = self._noisier(NOISE_OF_A_PAIR, options)
        while len(pairs) < wanted and not budget.is_spent:
            pairs.append(self._maker.pair(options.seed + len(pairs), solve))
            budget.report("pairs of noisier data", len(pairs) / wanted)
        return pairs

    @property
    def noise_energy(self) -> float:
        """Of the data, weighed by the density."""
        return self._maker.noise_energy

    @property
    def own_start(self) -> Start:
        """The solution of the data as they are."""
        return self._maker.own_start()

    def disturbed_start(self, risk: Risk, options: PairOptions) -> Start:
        """That of the disturbed data of the risk."""
        disturbance = risk.disturbed.data - self.kspace.data
        return self._maker.start(disturbance, self._noisier(1.0, options))

    def images_of(self, components: torch.Tensor) -> torch.Tensor:
        """(frame, y, x)."""
        return replace(self.solution, components=components).images
