"""A slice that is solved in its temporal subspace, as networks that change its component images need it.

For those that the scan itself teaches (:mod:`~python_recon.methods.zero_shot`), for those that were trained
on other scans (:mod:`~python_recon.methods.trained`), and for their training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.pairs import Pair, SolvedSlice, Start
from python_recon.fitting.recorrupted import NOISE_OF_A_PAIR, PairMaker
from python_recon.judging.risk import Risk
from python_recon.losses.measured import LossName
from python_recon.methods.subspace import LowRank, SubspaceOptions, SubspaceSolver, choose, steps_needed
from python_recon.operators.reach import reach_of, within_reach
from python_recon.operators.sense import density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels
from python_recon.resources.schedule import Budget

_STEPS_OF_A_PART = 16
"""Gradient steps from nothing to the images of a part of the samples, at least."""


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


def as_many(makers: Sequence[Callable[[], Pair]], budget: Budget) -> list[Pair]:
    """Pairs, as many as there is time for."""
    pairs = list[Pair]()
    for make in makers:
        if budget.is_spent:
            break
        pairs.append(make())
        budget.report("pairs of data", len(pairs) / len(makers))
    return pairs


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

    @property
    def is_noisy(self) -> bool:
        """Whether the noise is known and there is some: without, nothing is left for a network."""
        return self.kspace.noise is not None and self.kspace.noise.std > 0

    @cached_property
    def gram(self) -> SubspaceGram:
        """Normal operator of the data term."""
        return self.solver.gram(self.solution)

    @cached_property
    def solved(self) -> SolvedSlice:
        """What pairs are made of."""
        return SolvedSlice(self.kspace, self.maps, self.solution.basis, self.solution.components)

    def make_pairs(
        self, wanted: int, options: PairOptions, budget: Budget, loss: LossName = "density"
    ) -> list[Pair]:
        """Recorrupted ones, as many as are wanted; fewer where the time is up.

        The density makes their quadratic loss an integral over the image.
        """
        kernels = point_spread_kernels(self.kspace.trajectory, density_of(self.kspace), self.kspace.matrix)
        dense_gram = SubspaceGram(kernels, self.maps.maps, self.solution.basis)
        maker = PairMaker(self.solved, (self.gram, dense_gram), loss)
        solve = self._noisier(NOISE_OF_A_PAIR, options.start_steps)
        seeds = range(options.seed, options.seed + wanted)
        return as_many([partial(maker.pair, seed, solve) for seed in seeds], budget)

    def solve_part(self, gram: SubspaceGram, right_side: torch.Tensor, share: float) -> torch.Tensor:
        """(component, y, x) of a share of the samples, from nothing: of the others nothing must come in."""
        nothing = replace(self.solution, components=torch.zeros_like(right_side))
        steps = max(_STEPS_OF_A_PART, steps_needed(self.kspace))
        return self.solver.solve_noisier(nothing, gram, right_side, math.sqrt(share), steps)

    @property
    def own_start(self) -> Start:
        """The solution of the data as they are."""
        return self.solved.start(self.solved.missing, self.gram, lambda _residual: self.solution.components)

    def disturbed_start(self, risk: Risk, start_steps: int) -> Start:
        """That of the disturbed data of the risk, after so many gradient steps."""
        disturbance = risk.disturbed.data - self.kspace.data
        return self.solved.start(
            self.solved.missing + disturbance, self.gram, self._noisier(1.0, start_steps)
        )

    def within_reach(self, change: torch.Tensor) -> torch.Tensor:
        """A change (component, y, x) without what lies further out in k-space than any sample."""
        return within_reach(change, self._reach)

    @cached_property
    def _reach(self) -> float:
        return reach_of(self.kspace)

    def images_of(self, components: torch.Tensor) -> torch.Tensor:
        """(frame, y, x)."""
        return replace(self.solution, components=components).images

    def _noisier(self, noise: float, steps: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """Solves data whose noise is so many times that of the scan."""
        return lambda residual: self.solver.solve_noisier(self.solution, self.gram, residual, noise, steps)
