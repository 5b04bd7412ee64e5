"""A slice that was solved in its temporal subspace, as the networks that change its component images need it.

As :mod:`~python_recon.methods.zero_shot` has it for networks that the scan itself teaches; here for those
that were trained on other scans, and for their training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.pairs import Pair, SolvedSlice, Start
from python_recon.fitting.recorrupted import NOISE_OF_A_PAIR, PairMaker
from python_recon.judging.risk import Risk
from python_recon.methods.subspace import LowRank, SubspaceOptions, SubspaceSolver, choose
from python_recon.operators.reach import reach_of, within_reach
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
    def solved(self) -> SolvedSlice:
        """What pairs are made of."""
        return SolvedSlice(self.kspace, self.maps, self.solution.basis, self.solution.components)

    def make_pairs(self, wanted: int, options: PairOptions, budget: Budget) -> list[Pair]:
        """Recorrupted ones, as many as are wanted; fewer where the time is up.

        Their loss is quadratic: the density makes it an integral over the image.
        """
        pairs = list[Pair]()
        solve = self._noisier(NOISE_OF_A_PAIR, options)
        kernels = point_spread_kernels(self.kspace.trajectory, density_of(self.kspace), self.kspace.matrix)
        dense_gram = SubspaceGram(kernels, self.maps.maps, self.solution.basis)
        maker = PairMaker(self.solved, (self.gram, dense_gram))
        while len(pairs) < wanted and not budget.is_spent:
            pairs.append(maker.pair(options.seed + len(pairs), solve))
            budget.report("pairs of noisier data", len(pairs) / wanted)
        return pairs

    @property
    def own_start(self) -> Start:
        """The solution of the data as they are."""
        return self.solved.start(self.solved.missing, self.gram, lambda _residual: self.solution.components)

    def disturbed_start(self, risk: Risk, options: PairOptions) -> Start:
        """That of the disturbed data of the risk."""
        disturbance = risk.disturbed.data - self.kspace.data
        return self.solved.start(self.solved.missing + disturbance, self.gram, self._noisier(1.0, options))

    def within_reach(self, change: torch.Tensor) -> torch.Tensor:
        """A change (component, y, x) without what lies further out in k-space than any sample."""
        return within_reach(change, reach_of(self.kspace))

    def images_of(self, components: torch.Tensor) -> torch.Tensor:
        """(frame, y, x)."""
        return replace(self.solution, components=components).images

    def _noisier(self, noise: float, options: PairOptions) -> Callable[[torch.Tensor], torch.Tensor]:
        """Solves data whose noise is so many times that of the scan."""
        return lambda residual: self.solver.solve_noisier(
            self.solution, self.gram, residual, noise, options.start_steps
        )
