"""A fitted field with all that it takes to make images of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from python_recon.errors import ConfigError
from python_recon.fields.breathing import BreathingBasis
from python_recon.fields.combining import Combination
from python_recon.fields.field import KSpaceField
from python_recon.fields.image_field import ImageField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import TimeAxis
from python_recon.fields.view import FramesAt, View
from python_recon.judging.shares import Shares

_FRAMES = 4
"""Rendered together."""


@dataclass(frozen=True)
class FittedField:
    """Renders at any time and matrix without fitting again."""

    net: KSpaceField | ImageField | None
    """None where the start is all there is."""
    start: LowRankStart | None
    """Is added to the field."""
    shares: Shares
    """Of the field in that sum; where all are 0 it is not evaluated."""
    scale: float
    """Largest sample of the scan, the unit of field and start."""
    maps: torch.Tensor
    """(coil, y, x) coil maps, by which the coils of a field of k-space are combined."""
    axis: TimeAxis

    @property
    def matrix(self) -> tuple[int, int]:
        """(y, x) of the scan."""
        rows, columns = self.maps.shape[-2:]
        return rows, columns

    @torch.no_grad()
    def render(
        self, times_s: np.ndarray, matrix: tuple[int, int] | None = None, view: View | None = None
    ) -> Iterator[torch.Tensor]:
        """Images (frame, y, x) complex64 at times (frame,), a few frames at a time.

        Parameters
        ----------
        times_s
            Seconds on the clock of the scan.
        matrix
            (y, x); by default that of the scan. The field of view stays the same.
        view
            A window of a matrix, in place of ``matrix``. Fields of images are evaluated in it only.

        Raises
        ------
        DataError
            If a time lies outside the scan.
        """
        view = view or View.whole(matrix or self.matrix)
        t = torch.as_tensor(np.atleast_1d(self.axis.of(times_s)), device=self.maps.device)
        parts = list(self._parts(view))
        for moments in torch.split(t, _FRAMES):
            images = torch.zeros(len(moments), *view.shape, dtype=torch.complex64, device=self.maps.device)
            for frames in parts:
                images += frames(moments)
            yield self.scale * images

    def at_breath(self, position: float) -> FittedField:
        """The same with the breath held at a position, 0 at one end of it and 1 at the other.

        Raises
        ------
        ConfigError
            If the position is out of range, or the field does not know the breath.
        """
        if not 0 <= position <= 1:
            raise ConfigError(f"the breath cannot be held at {position:g}: expected 0 to 1")
        if self.axis.kind == "navigator":
            held = position * self.axis.span
            ends = (self.axis.start_s, self.axis.start_s + self.axis.duration_s)
            return replace(self, axis=replace(self.axis, positions=tuple((end, held) for end in ends)))
        net, start = copy.deepcopy((self.net, self.start))
        parts = [part for module in (net, start) if module is not None for part in module.modules()]
        bases = [part for part in parts if isinstance(part, BreathingBasis)]
        if not bases:
            raise ConfigError(
                "the field does not know the breath: it takes a fit with a temporal basis learned from a "
                "scan of 10 s or more (subspace_inr, st_inr, nik, pisco), or options.time breathing"
            )
        for basis in bases:
            basis.held = position
        return replace(self, net=net, start=start)

    def _parts(self, view: View) -> Iterator[FramesAt]:
        """What is added up."""
        if self.net is not None and any(self.shares):
            if isinstance(self.net, ImageField):
                yield self.net.at(view, self.shares)
            else:
                yield _combined(self.net, self.maps, view, *self.shares)
        if self.start is not None:
            yield self.start.at(view)


def _combined(net: KSpaceField, maps: torch.Tensor, view: View, share: float) -> FramesAt:
    """Combined images of a view as a function of time."""
    combination = Combination(maps, view)
    return lambda t: share * combination(net.at_times(combination.places, t))
