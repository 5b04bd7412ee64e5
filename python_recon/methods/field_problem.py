"""What the fits of neural fields have in common: a slice, its time, and the spokes that judge the fit."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

# Optimisers load it at their first use, which takes seconds: here it is loaded before the data are there.
import torch._dynamo

from python_recon.acquisition.gating.spoke_phases import respiratory_position
from python_recon.acquisition.spokes import frame_means, frame_times, spoke_times
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.fields.breathing import BreathingBasis, TemporalBasis
from python_recon.fields.field import KSpaceField
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import ImageField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fitting.checkpoint import Origin, path_of_slice, save
from python_recon.fitting.descent import FitReport
from python_recon.fitting.keeping import KeepingOptions
from python_recon.fitting.shrinking import shrunk
from python_recon.fitting.tracking import Track, tensorboard, untracked
from python_recon.fitting.usefulness import require_use
from python_recon.fitting.warm_start import resume, take_over
from python_recon.judging.held_out import FEWEST_SPOKES, split_spokes
from python_recon.judging.samples import Samples
from python_recon.methods.registry import Reconstruction
from python_recon.methods.subspace import SubspaceOptions, solve
from python_recon.operators.sense import density_of
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_UNUSED = "the network does not improve held-out spokes: these are the images of its start"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldProblem:
    """A slice as a field sees it."""

    kspace: KSpace
    maps: CoilMaps
    axis: TimeAxis
    scale: float
    """The largest sample, the unit of all fields."""
    kept: np.ndarray
    """(frame, spoke) bool, the spokes that are fitted."""
    held_out: Samples | None
    comment: str
    """What the data did not allow."""
    options: KeepingOptions

    @property
    def fitted_kspace(self) -> KSpace:
        """The k-space with the weights of held-out spokes at zero."""
        keeps = torch.as_tensor(self.kept, device=self.kspace.data.device)
        return replace(self.kspace, density=density_of(self.kspace) * keeps[..., None])

    @property
    def frame_coordinates(self) -> torch.Tensor:
        """Time coordinate of every frame (frame,)."""
        return torch.as_tensor(self.axis.of(frame_times(self.kspace)), device=self.kspace.data.device)

    @property
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
        """An orthonormal basis (frame, component) as functions of the field's time, of unit mean square."""
        if not self.has_frame_basis:
            raise ConfigError(
                "a basis learned from the frames needs options.time scan, or options.start none"
            )
        times, values = self.axis.of(frame_times(self.kspace)), basis.cpu().numpy() * len(basis) ** 0.5
        spline: TemporalBasis = SplineBasis(values, times, is_periodic=self.kspace.is_periodic)
        if self.breath is not None:
            spline = BreathingBasis(values, times, self.breath)
        return spline.to(basis.device)

    def with_options(self, taken: KeepingOptions) -> Self:
        """The same for a fit that had to be smaller, which is told."""
        comment = "; ".join(filter(None, [self.comment, shrunk(self.options, taken)]))
        return replace(self, options=taken, comment=comment)

    @property
    def track(self) -> Track:
        """Where the figures of the fit go."""
        return tensorboard(self.options.tensorboard) if self.options.tensorboard else untracked

    def begin(self, net: KSpaceField | ImageField, budget: Budget) -> bool:
        """Let a field begin where a former fit of this or another slice ended; whether it was this one.

        Raises
        ------
        DataError
            If the checkpoint to go on from is none, or of another scan or kind.
        """
        if self.options.resume:
            path = path_of_slice(self.options.resume, self.kspace.counters)
            resume(net, path, self.options, self.kspace, self.scale, self.frame_coordinates)
        elif isinstance(budget.start, FittedField):
            take_over(net, budget.start, self.frame_coordinates)
        return bool(self.options.resume)

    def reconstruction(
        self,
        net: KSpaceField | ImageField | None,
        start: LowRankStart | None,
        report: FitReport,
        comment: str = "",
    ) -> Reconstruction:
        """Images of the frames as they are rendered, and what became of the fit.

        The field is saved where that is wanted.

        Raises
        ------
        DeadlineError
            If the deadline ended a fit without a start before it was better than gridding.
        """
        fitted = FittedField(net, start, report.shares, self.scale, self.maps.maps, self.axis)
        saved = self._save(fitted)
        if start is None and report.stopped == "deadline":
            require_use(fitted, self.kspace, self.kept, self.maps)
        still = "one frame: the field is static" if self.kspace.n_frames == 1 else ""
        unused = _UNUSED if net is not None and start is not None and not any(report.shares) else ""
        told = "; ".join(filter(None, [still, self.comment, comment, unused, saved]))
        blocks = fitted.render(frame_times(self.kspace))
        return Reconstruction(next(blocks), asdict(report), state=fitted, comment=told, later=blocks)

    def _save(self, fitted: FittedField) -> str:
        """Why the field could not be saved; images that are done are not given up for that."""
        if not self.options.checkpoint:
            return ""
        path = path_of_slice(self.options.checkpoint, self.kspace.counters)
        try:
            save(fitted, path, self.options.implementation, self.options, Origin.of(self.kspace))
        except ConfigError as error:
            _log.warning("%s", error)
            return str(error)
        _log.info("the field is saved in %s", path)
        return ""


def unit_of(kspace: KSpace, maps: CoilMaps) -> float:
    """The largest sample, the unit of fields.

    Raises
    ------
    DataError
        If the samples or the coil maps are all zero, or not finite.
    """
    scale = _largest("samples", kspace.data)
    _largest("coil maps", maps.maps)
    return scale


def _largest(name: str, values: torch.Tensor) -> float:
    """The largest magnitude, which must be a positive number."""
    largest = float(values.abs().amax())
    if not 0 < largest < float("inf"):
        fault = "all zero" if largest == 0 else "not finite"
        raise DataError(f"the {name} are {fault}: there is nothing that a field can be fitted to")
    return largest


def hold_out(
    kspace: KSpace, axis: TimeAxis, scale: float, share: float
) -> tuple[np.ndarray, Samples | None, str]:
    """Spokes to fit (frame, spoke) bool, samples to judge by, and why there are none."""
    kept, held = split_spokes(kspace, share)
    if held.any():
        return kept, Samples.of_spokes(kspace, held, axis.of(spoke_times(kspace)[held]), scale), ""
    comment = f"{kept.sum()} spokes are too few to hold some out (from {FEWEST_SPOKES} on)"
    return kept, None, comment if share else ""


def low_rank_start(problem: FieldProblem, kspace: KSpace, budget: Budget) -> LowRankStart:
    """A subspace reconstruction of the spokes that have weight, in the unit of the samples."""
    result = solve(kspace, problem.maps, SubspaceOptions(), budget)
    components = result.components / (problem.scale * kspace.n_frames**0.5)
    return LowRankStart(components, problem.maps.maps, problem.temporal(result.basis))


@dataclass(frozen=True)
class JudgedStart:
    """A start from the spokes that are fitted, which is solved again from all of them after the fit."""

    problem: FieldProblem
    first: LowRankStart
    """Has not seen the held-out spokes, so that they can judge what a field adds to it."""
    again_s: float
    """Time that is kept for the second one."""

    @classmethod
    def solve(cls, problem: FieldProblem, budget: Budget) -> JudgedStart:
        """The first start, which tells how long the second one takes."""
        began = time.monotonic()
        first = low_rank_start(problem, problem.fitted_kspace, budget)
        return cls(problem, first, 1.5 * (time.monotonic() - began))

    def rest_of(self, budget: Budget) -> Budget:
        """What the fit may take."""
        return replace(budget, seconds=budget.seconds - self.again_s)

    def final(self, budget: Budget) -> LowRankStart:
        """The start from all spokes, or the first one where no time is left."""
        if budget.left_s <= self.again_s / 2:
            return self.first
        return low_rank_start(self.problem, self.problem.kspace, budget)


def start_alone(problem: FieldProblem, budget: Budget) -> Reconstruction:
    """The subspace reconstruction, where no spokes can be held out to judge a network by."""
    start = low_rank_start(problem, problem.kspace, budget)
    told = "without a judge, the images are those of the subspace start"
    return problem.reconstruction(None, start, FitReport("no judge", shares=(0.0,)), told)
