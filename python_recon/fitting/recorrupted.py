"""Pairs to train on from a single scan whose noise is known: no sample is held out, no second scan is needed.

With y the data, a fresh n' of the same noise makes ``y + n'`` and ``y - n'``, whose noises are independent: a
network that guesses the second from the first cannot guess its noise, and comes nearest with the object.
Pang et al. (Recorrupted-to-Recorrupted), CVPR 2021; for MRI arXiv:2205.10278.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch

from python_recon.errors import DataError
from python_recon.fitting.pairs import Loss, Pair, QuadraticLoss, SampledLoss, SolvedSlice
from python_recon.losses.measured import LossName
from python_recon.operators.sense import density_of
from python_recon.solvers.cg import Operator

_FIRST_SEED = 1000
"""Far from those of other noise: two that are the same would not be independent."""
NOISE_OF_A_PAIR = math.sqrt(2)
"""In each of the two data, relative to that of the scan."""

Solve: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Components of noisier data, from the right side of what the solution of the scan leaves of them."""


class PairMaker:
    """Makes pairs of a slice that is solved in a temporal subspace.

    Parameters
    ----------
    solved
        The slice, with its density and its noise.
    grams
        Normal operators of the components: with the weights of the data term, and with the density.
    loss
        By which a network is trained.

    Raises
    ------
    DataError
        If the noise is not known.
    """

    def __init__(
        self, solved: SolvedSlice, grams: tuple[Operator, Operator], loss: LossName = "density"
    ) -> None:
        noise = solved.kspace.noise
        if noise is None:
            raise DataError("pairs need the noise of the k-space: with_noise estimates it")
        self._std = math.sqrt(noise.variance)
        self._solved, self._grams, self._loss = solved, grams, loss
        self._density = density_of(solved.kspace)
        self._noise_energy = noise.variance * solved.kspace.n_coils * float(self._density.double().sum())

    def pair(self, seed: int, solve: Solve) -> Pair:
        """One of as many pairs as are wanted; a seed gives the same at every call."""
        noise = self._noise(seed)
        start = self._solved.start(self._solved.missing + noise, self._grams[0], solve)
        return Pair(start, self._grams[0], self._loss_of(start.components, -noise))

    def _loss_of(self, components: torch.Tensor, noise: torch.Tensor) -> Loss:
        """Of changed components, against data with this noise."""
        solved = self._solved
        if self._loss != "density":
            measured = (self._density > 0).to(self._density.dtype)
            return SampledLoss(solved, self._loss, components, solved.kspace.data + noise, measured)
        moved = components - solved.components
        target = solved.right_side(self._density, solved.missing + noise) - self._grams[1](moved)
        return QuadraticLoss(self._grams[1], target, self._noise_energy)

    def _noise(self, seed: int) -> torch.Tensor:
        data = self._solved.kspace.data
        generator = torch.Generator(data.device).manual_seed(seed + _FIRST_SEED)
        return self._std * torch.randn(data.shape, dtype=data.dtype, device=data.device, generator=generator)
