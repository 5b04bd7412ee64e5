"""What a network that learns from one scan is trained on: data to start from, and other data to judge by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.losses.measured import LossName, MeasuredLoss, measured_loss
from python_recon.operators.linear import apply_linear
from python_recon.operators.sense import Sense, data_weights
from python_recon.solvers.cg import Operator

_TOLERANCE = 1e-4
"""Of the NUFFT, whose error must lie far below the noise."""
_FRAMES_OF_A_STEP = 6
"""Frames whose samples are predicted in one step: a few, spread over the series."""

Loss: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]
"""A change (component, y, x) of the start, and the number of the step, to how badly it predicts the other
data; a loss that looks at a part of the data looks at the same part for the same number."""


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
    gram: Operator
    """Normal operator of the components for the data of the start."""
    loss: Loss


@dataclass(frozen=True)
class SolvedSlice:
    """A slice that is solved in a temporal subspace."""

    kspace: KSpace
    """Prepared, on its device."""
    maps: CoilMaps
    basis: torch.Tensor
    """(frame, component) real."""
    components: torch.Tensor
    """(component, y, x)."""

    def project(self, series: torch.Tensor) -> torch.Tensor:
        """A series (frame, y, x) to its components."""
        return torch.einsum("fk,fyx->kyx", self.basis.to(series.dtype), series)

    def series(self, components: torch.Tensor) -> torch.Tensor:
        """(frame, y, x) of components."""
        return torch.einsum("fk,kyx->fyx", self.basis.to(components.dtype), components)

    @cached_property
    def sense(self) -> Sense:
        """Images of every frame to its samples."""
        return Sense(self.kspace, self.maps, _TOLERANCE)

    @cached_property
    def missing(self) -> torch.Tensor:
        """(frame, coil, spoke, readout) what the solution leaves of the data."""
        return self.kspace.data - self.sense.forward(self.series(self.components))

    def right_side(self, weights: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        """(component, y, x) of what is missing of data, with weights (frame, spoke, readout)."""
        return self.project(self.sense.adjoint(weights[:, None] * missing))

    def start(
        self, missing: torch.Tensor, gram: Operator, solve: Callable[[torch.Tensor], torch.Tensor]
    ) -> Start:
        """The solution of data of which the components leave so much, and what it leaves of them itself.

        Parameters
        ----------
        missing
            (frame, coil, spoke, readout).
        gram
            Normal operator of the components.
        solve
            Components of the data, from the right side of what is missing.
        """
        residual = self.right_side(data_weights(self.kspace), missing)
        components = solve(residual)
        return Start(components, residual - gram(components - self.components))


@dataclass(frozen=True)
class QuadraticLoss:
    """The squared error of other data, weighed by their density: 1 for no change, and a noise less.

    ``1 + (|A d|^2 - 2 Re <A d, y - A u>) / noise``, a square whose constant part is left out: no sample is
    predicted.
    """

    gram: Operator
    """``A^H A`` of the other data, with the density as the weights."""
    target: torch.Tensor
    """(component, y, x) right side of what the start leaves of them."""
    noise_energy: float
    """Of the other data, weighed alike."""

    def __call__(self, change: torch.Tensor, _number: int) -> torch.Tensor:
        return 1 + quadratic(self.gram, change, self.target) / self.noise_energy


class SampledLoss:
    """A loss of samples, predicted for some frames in a step.

    Parameters
    ----------
    solved
        The slice.
    name
        Of the loss.
    start
        (component, y, x) that are changed.
    data
        (frame, coil, spoke, readout) the other data.
    weights
        (frame, spoke, readout) of their samples, 0 where there is none.
    """

    def __init__(
        self,
        solved: SolvedSlice,
        name: LossName,
        start: torch.Tensor,
        data: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        self._solved, self._start = solved, start
        n_parts = -(-len(data) // _FRAMES_OF_A_STEP)
        seen = [torch.arange(first, len(data), n_parts) for first in range(n_parts)]
        self._parts: Sequence[tuple[Sense, torch.Tensor, MeasuredLoss]] = [
            self._part(name, frames.to(data.device), data, weights) for frames in seen
        ]

    def _part(
        self, name: LossName, frames: torch.Tensor, data: torch.Tensor, weights: torch.Tensor
    ) -> tuple[Sense, torch.Tensor, MeasuredLoss]:
        kspace = self._solved.kspace
        own = KSpace(data=data[frames], trajectory=kspace.trajectory[frames], matrix=kspace.matrix)
        loss = measured_loss(name, own.data, weights[frames][:, None])
        return Sense(own, self._solved.maps, _TOLERANCE), self._solved.basis[frames], loss

    def __call__(self, change: torch.Tensor, number: int) -> torch.Tensor:
        sense, basis, loss = self._parts[number % len(self._parts)]
        components = self._start + change
        images = torch.einsum("fk,kyx->fyx", basis.to(components.dtype), components)
        return loss(apply_linear(images, sense.forward, sense.adjoint))


def quadratic(gram: Operator, change: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """``|A d|^2 - 2 Re <d, t>`` of a change d, with ``gram = A^H A``: one of it, gradient included."""
    with torch.no_grad():
        applied = gram(change)
    slope = applied - target
    value = (change.detach().conj() * (slope - target)).real.sum()
    varying = 2 * (slope.conj() * change).real.sum()
    return value + varying - varying.detach()
