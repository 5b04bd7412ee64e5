"""The data term and the losses of parts of the samples of a scan, as sums over groups of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.judging.splits import sample_groups
from python_recon.losses.measured import LossName, MeasuredLoss, measured_loss
from python_recon.operators.sense import Sense, data_weights, density_of
from python_recon.operators.toeplitz import SenseGram, point_spread_kernels

_TOLERANCE = 1e-4
"""Of the NUFFT: groups are taken from the whole, so that its errors must lie far below their values."""


class GroupedSlice:
    """A slice whose samples are dealt into groups; kernels and right sides are made once a group.

    Parameters
    ----------
    kspace, maps
        Prepared, on their device.
    n_groups
        Of spokes, lines or points; see :func:`~python_recon.judging.splits.sample_groups`.
    seed
        Of the groups.

    Raises
    ------
    DataError
        If there are fewer spokes, lines or points than groups.
    """

    def __init__(self, kspace: KSpace, maps: CoilMaps, n_groups: int, seed: int) -> None:
        self._kspace, self._maps = kspace, maps
        self._groups = torch.as_tensor(sample_groups(kspace, n_groups, seed), device=kspace.data.device)
        self._weights = data_weights(kspace)
        self.sense = Sense(kspace, maps, _TOLERANCE)
        self._whole = self._term(torch.ones_like(self._groups, dtype=torch.bool))

    @cached_property
    def _parts(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Kernels (frame, y, x) and right side (frame, y, x) of every group."""
        return [self._term(self._groups == group) for group in range(int(self._groups.max()) + 1)]

    def without(self, groups: Sequence[int]) -> tuple[SenseGram, torch.Tensor]:
        """Normal operator and right side of all samples but those of some groups."""
        kernels, right_side = (term.clone() for term in self._whole)
        for group in groups:
            kernels -= self._parts[group][0]
            right_side -= self._parts[group][1]
        return SenseGram(kernels, self._maps.maps), right_side

    def loss(self, name: LossName, groups: Sequence[int]) -> MeasuredLoss:
        """Of predicted samples (frame, coil, spoke, readout), of which those of some groups count."""
        counts = torch.isin(self._groups, torch.tensor(groups, device=self._groups.device))
        return self._loss(name, counts)

    def loss_without(self, name: LossName, groups: Sequence[int]) -> MeasuredLoss:
        """The same of all samples but those."""
        return self._loss(name, ~torch.isin(self._groups, torch.tensor(groups, device=self._groups.device)))

    def _loss(self, name: LossName, counts: torch.Tensor) -> MeasuredLoss:
        density = density_of(self._kspace)
        weights = density * counts if name == "density" else (density * counts > 0).to(density.dtype)
        return measured_loss(name, self._kspace.data, weights[:, None])

    def _term(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = self._weights * chosen
        kernels = point_spread_kernels(self._kspace.trajectory, weights, self._kspace.matrix, _TOLERANCE)
        return kernels, self.sense.adjoint(weights[:, None] * self._kspace.data)
