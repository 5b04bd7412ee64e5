"""Pairs to train on from a single scan whose noise is known: no sample is held out, no second scan is needed.

With y the data, a fresh n' of the same noise makes ``y + n'`` and ``y - n'``, whose noises are independent: a
network that guesses the second from the first cannot guess its noise, and comes nearest with the object.
Pang et al. (Recorrupted-to-Recorrupted), CVPR 2021; for MRI arXiv:2205.10278.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.operators.sense import Sense, data_weights, density_of
from python_recon.solvers.cg import Operator

_TOLERANCE = 1e-4
"""Of the NUFFT, whose error must lie far below the noise."""

_FIRST_SEED = 1000
"""Far from those of other noise: two that are the same would not be independent."""
NOISE_OF_A_PAIR = math.sqrt(2)
"""In each of the two data, relative to that of the scan."""

Project: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""A series (frame, y, x) to its components (component, y, x)."""
Solve: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Components of noisier data, from the right side of what the solution of the scan leaves of them."""


@dataclass(frozen=True)
class Start:
    """What a network is given."""

    components: torch.Tensor
    """(component, y, x)."""
    residual: torch.Tensor
    """(component, y, x) right side of what they leave of the data, with the weights of the data term."""


@dataclass(frozen=True)
class Pair:
    """Data to start from, and other data of the same object to judge by."""

    start: Start
    target: torch.Tensor
    """(component, y, x) right side of what the start leaves of the other data, weighed by the density."""


class PairMaker:
    """Makes pairs of a slice that is solved in a temporal subspace.

    Parameters
    ----------
    kspace, maps
        Prepared, on their device, with the density and the noise.
    images
        (frame, y, x) of the solution.
    solution
        (component, y, x) of it.
    project
        To the components of the same subspace.
    grams
        Normal operators of the components: with the weights of the data term, and with the density.

    Raises
    ------
    DataError
        If the noise is not known.
    """

    def __init__(
        self,
        kspace: KSpace,
        maps: CoilMaps,
        images: torch.Tensor,
        solution: torch.Tensor,
        project: Project,
        grams: tuple[Operator, Operator],
    ) -> None:
        if kspace.noise is None:
            raise DataError("pairs need the noise of the k-space: with_noise estimates it")
        self._std = math.sqrt(kspace.noise.variance)
        self._solution, self._project, self._grams = solution, project, grams
        self._sense = Sense(kspace, maps, _TOLERANCE)
        self._missing = kspace.data - self._sense.forward(images)
        self._weights, self._density = data_weights(kspace)[:, None], density_of(kspace)[:, None]
        self.noise_energy = kspace.noise.variance * kspace.n_coils * float(self._density.double().sum())
        """Of the data, weighed by the density."""

    def pair(self, seed: int, solve: Solve) -> Pair:
        """One of as many pairs as are wanted; a seed gives the same at every call."""
        noise = self._noise(seed)
        start = self.start(noise, solve)
        moved = start.components - self._solution
        return Pair(start, self._right_side(self._density, -noise) - self._grams[1](moved))

    def start(self, noise: torch.Tensor, solve: Solve) -> Start:
        """The solution of data with this noise (frame, coil, spoke, readout) added."""
        residual = self._right_side(self._weights, noise)
        components = solve(residual)
        return Start(components, residual - self._grams[0](components - self._solution))

    def own_start(self) -> Start:
        """The solution of the data as they are."""
        return Start(self._solution, self._right_side(self._weights, torch.zeros_like(self._missing)))

    def _right_side(self, weights: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Of what the solution leaves of data with more noise."""
        return self._project(self._sense.adjoint(weights * (self._missing + noise)))

    def _noise(self, seed: int) -> torch.Tensor:
        data = self._missing
        generator = torch.Generator(data.device).manual_seed(seed + _FIRST_SEED)
        return self._std * torch.randn(data.shape, dtype=data.dtype, device=data.device, generator=generator)


def quadratic(gram: Operator, change: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """``|A d|^2 - 2 Re <d, t>`` of a change d, with ``gram = A^H A``: one of it, gradient included."""
    with torch.no_grad():
        applied = gram(change)
    slope = applied - target
    value = (change.detach().conj() * (slope - target)).real.sum()
    varying = 2 * (slope.conj() * change).real.sum()
    return value + varying - varying.detach()
