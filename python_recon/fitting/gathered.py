"""What a fit needs of a slice, gathered once: unit, time, own spokes, and those that judge the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch

from python_recon.acquisition.gating.spoke_phases import respiratory_position
from python_recon.acquisition.spokes import frame_means, frame_times, spoke_times
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.fields.breathing import BreathingBasis, TemporalBasis
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fitting.field_time import time_axis
from python_recon.judging.held_out import FEWEST_SPOKES, split_spokes
from python_recon.judging.samples import Samples
from python_recon.operators.sense import density_of

TimeKind: TypeAlias = Literal["scan", "cardiac", "breathing"]
"""The time that a field is asked to have."""


@dataclass(frozen=True)
class Gathered:
    """A prepared slice as a field sees it."""

    kspace: KSpace
    maps: CoilMaps
    scale: float
    """The largest sample, the unit of all fields."""
    axis: TimeAxis
    """Turns seconds into the field's time."""
    kept: np.ndarray
    """(frame, spoke) bool, the spokes that are fitted."""
    held_out: Samples | None
    """Of the spokes that judge the fit; None: there are none."""
    comment: str
    """What the data did not allow."""

    @cached_property
    def samples(self) -> Samples:
        """Of the spokes that are fitted, each at its own time."""
        return _samples(self.kspace, self.kept, self.axis, self.scale)

    @cached_property
    def fitted_kspace(self) -> KSpace:
        """The k-space with the weights of held-out spokes at zero."""
        keeps = torch.as_tensor(self.kept, device=self.kspace.data.device)
        return replace(self.kspace, density=density_of(self.kspace) * keeps[..., None])

    @cached_property
    def frame_coordinates(self) -> torch.Tensor:
        """Time coordinate of every frame (frame,)."""
        return torch.as_tensor(self.axis.of(frame_times(self.kspace)), device=self.kspace.data.device)

    @cached_property
    def spoke_coordinates(self) -> torch.Tensor:
        """Time coordinate of every spoke (frame, spoke); 0 for those that are not fitted."""
        t = np.zeros(self.kept.shape, dtype=np.float32)
        t[self.kept] = self.axis.of(spoke_times(self.kspace)[self.kept])
        return torch.as_tensor(t, device=self.kspace.data.device)

    @cached_property
    def breath(self) -> np.ndarray | None:
        """Self-gated position of the breath (frame,), 0..1; None where the scan does not tell it."""
        positions = respiratory_position(self.kspace.to_numpy())
        return None if positions is None else frame_means(self.kspace, positions)

    @property
    def has_frame_basis(self) -> bool:
        """Whether functions known at the frames are functions of the field's time."""
        return self.axis.kind == "plain" or self.kspace.is_periodic

    def temporal(self, basis: torch.Tensor) -> TemporalBasis:
        """An orthonormal basis (frame, component) as functions of the field's time, of unit mean square.

        Raises
        ------
        ConfigError
            If the field's time is not that of the frames.
        """
        if not self.has_frame_basis:
            raise ConfigError(
                "a basis learned from the frames needs options.time scan, or options.start none"
            )
        times, values = self.axis.of(frame_times(self.kspace)), basis.cpu().numpy() * len(basis) ** 0.5
        spline: TemporalBasis = SplineBasis(values, times, is_periodic=self.kspace.is_periodic)
        if self.breath is not None:
            spline = BreathingBasis(values, times, self.breath)
        return spline.to(basis.device)


def gather(
    kspace: KSpace, maps: CoilMaps, time: TimeKind, held_out_share: float, *, wraps: bool = False
) -> Gathered:
    """All of it, in one order: unit, time, the split of the spokes, the samples that judge.

    Parameters
    ----------
    kspace, maps
        Prepared, on the device of the fit.
    time
        The time that the field should have.
    held_out_share
        Of the spokes, that judge the fit; 0: none.
    wraps
        Whether the field's functions of time have a period of 1.

    Raises
    ------
    DataError
        If the samples or the coil maps are all zero, or not finite.
    """
    scale = _largest("samples", kspace.data)
    _largest("coil maps", maps.maps)
    axis, lack = time_axis(kspace, time, wraps=wraps)
    kept, held = split_spokes(kspace, held_out_share)
    held_out = _samples(kspace, held, axis, scale) if held.any() else None
    few = ""
    if held_out_share and held_out is None:
        few = f"{kept.sum()} spokes are too few to hold some out (from {FEWEST_SPOKES} on)"
    return Gathered(kspace, maps, scale, axis, kept, held_out, "; ".join(filter(None, [lack, few])))


def _samples(kspace: KSpace, spokes: np.ndarray, axis: TimeAxis, scale: float) -> Samples:
    return Samples.of_spokes(kspace, spokes, axis.of(spoke_times(kspace)[spokes]), scale)


def _largest(name: str, values: torch.Tensor) -> float:
    """The largest magnitude, which must be a positive number."""
    largest = float(values.abs().amax())
    if not 0 < largest < float("inf"):
        fault = "all zero" if largest == 0 else "not finite"
        raise DataError(f"the {name} are {fault}: there is nothing that a field can be fitted to")
    return largest
