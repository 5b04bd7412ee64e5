"""Pairs to train on by holding samples out, as ZS-SSL has them (Yaman et al., arXiv:2102.07737).

The samples are dealt into groups, once. Some groups are the validation set; each of the others is what one
pair predicts from all the rest. No sample is seen and predicted by the same pair.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import torch

from python_recon.fitting.pairs import Pair, QuadraticLoss, SampledLoss, SolvedSlice, Start
from python_recon.judging.splits import sample_groups
from python_recon.losses.measured import LossName
from python_recon.operators.sense import data_weights, density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels

SolveSplit: TypeAlias = Callable[[SubspaceGram, torch.Tensor, float], torch.Tensor]
"""Components of a part of the data: from their normal operator, their right side, and the share of the
samples that they are."""


class SplitMaker:
    """Makes pairs of a slice that is solved in a temporal subspace.

    Parameters
    ----------
    solved
        The slice, with its density and its noise.
    n_pairs, n_judges
        Groups that are predicted in turn, and groups that are the validation set.
    loss
        By which a network is trained.
    seed
        Of the groups.

    Raises
    ------
    DataError
        If there are fewer spokes, lines or points than groups.
    """

    def __init__(self, solved: SolvedSlice, n_pairs: int, n_judges: int, loss: LossName, seed: int) -> None:
        self._solved, self._n_pairs, self._loss = solved, n_pairs, loss
        groups = sample_groups(solved.kspace, n_pairs + n_judges, seed)
        self._groups = torch.as_tensor(groups, device=solved.kspace.data.device)
        self._weights, self._density = data_weights(solved.kspace), density_of(solved.kspace)

    def pair(self, number: int, solve: SolveSplit) -> Pair:
        """One to train on, which leaves the validation set alone."""
        held = self._groups == number
        return self._pair(held, ~self._judging & ~held, solve)

    def judge(self, solve: SolveSplit) -> Pair:
        """The validation set, from all that is trained on."""
        return self._pair(self._judging, ~self._judging, solve)

    @cached_property
    def _judging(self) -> torch.Tensor:
        return self._groups >= self._n_pairs

    def _pair(self, held: torch.Tensor, seen: torch.Tensor, solve: SolveSplit) -> Pair:
        gram, right_side = self._data_term(self._weights * seen)
        share = float((self._weights * seen).sum() / self._weights.sum())
        components = solve(gram, right_side, share)
        start = Start(components, right_side - gram(components))
        if self._loss != "density":
            predicted = (self._density * held > 0).to(self._density.dtype)
            data = self._solved.kspace.data
            return Pair(start, gram, SampledLoss(self._solved, self._loss, components, data, predicted))
        density = self._density * held
        other, wanted = self._data_term(density)
        loss = QuadraticLoss(other, wanted - other(components), self._noise_energy(density))
        return Pair(start, gram, loss)

    def _data_term(self, weights: torch.Tensor) -> tuple[SubspaceGram, torch.Tensor]:
        """Normal operator of the components and right side of some samples."""
        solved, kspace = self._solved, self._solved.kspace
        kernels = point_spread_kernels(kspace.trajectory, weights, kspace.matrix)
        right_side = solved.right_side(weights, kspace.data)
        return SubspaceGram(kernels, solved.maps.maps, solved.basis), right_side

    def _noise_energy(self, weights: torch.Tensor) -> float:
        noise = self._solved.kspace.noise
        variance = noise.variance if noise is not None else 1.0
        return variance * self._solved.kspace.n_coils * float(weights.double().sum())
