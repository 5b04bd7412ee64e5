"""What the fits of neural fields have in common: how they begin, and what they hand over."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

# Optimisers load it at their first use, which takes seconds: here it is loaded before the data are there.
from python_recon.acquisition.spokes import frame_times
from python_recon.data import KSpace
from python_recon.errors import ConfigError
from python_recon.fields.field import KSpaceField
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import ImageField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fitting.checkpoint import Origin, path_of_slice, save
from python_recon.fitting.descent import FitReport
from python_recon.fitting.gathered import Gathered
from python_recon.fitting.keeping import KeepingOptions
from python_recon.fitting.shrinking import shrunk
from python_recon.fitting.tracking import Track, tensorboard, untracked
from python_recon.fitting.usefulness import require_use
from python_recon.fitting.warm_start import resume, take_over
from python_recon.judging.shares import Shares
from python_recon.methods.registry import Reconstruction
from python_recon.methods.subspace import SubspaceOptions, choose, solve
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_UNUSED = "the network does not improve held-out spokes: these are the images of its start"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldProblem:
    """A gathered slice, and how a field is to be fitted to it."""

    given: Gathered
    options: KeepingOptions
    comment: str = ""
    """What the fit did not allow, beside what the data did not."""

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
        given = self.given
        if self.options.resume:
            path = path_of_slice(self.options.resume, given.kspace.counters)
            resume(net, path, self.options, given.kspace, given.scale, given.frame_coordinates)
        elif isinstance(budget.start, FittedField):
            take_over(net, budget.start, given.frame_coordinates)
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
        given, kspace = self.given, self.given.kspace
        fitted = FittedField(net, start, report.shares, given.scale, given.maps.maps, given.axis)
        saved = self._save(fitted)
        if start is None and report.stopped == "deadline":
            require_use(fitted, kspace, given.kept, given.maps)
        still = "one frame: the field is static" if kspace.n_frames == 1 else ""
        mixture = "" if net is None or start is None else _mixture(report.shares)
        if mixture:
            _log.info("slice %d: %s", kspace.counters.slice, mixture)
        told = "; ".join(filter(None, [still, given.comment, self.comment, comment, mixture, saved]))
        blocks = fitted.render(frame_times(kspace))
        made_by = "" if start is None or any(report.shares) else "subspace"
        details = asdict(report)
        return Reconstruction(next(blocks), details, fitted, comment=told, made_by=made_by, later=blocks)

    def _save(self, fitted: FittedField) -> str:
        """Why the field could not be saved; images that are done are not given up for that."""
        if not self.options.checkpoint:
            return ""
        path = path_of_slice(self.options.checkpoint, self.given.kspace.counters)
        try:
            save(fitted, path, self.options.implementation, self.options, Origin.of(self.given.kspace))
        except ConfigError as error:
            _log.warning("%s", error)
            return str(error)
        _log.info("the field is saved in %s", path)
        return ""


def _mixture(shares: Shares) -> str:
    """What images consist of that are the sum of a start and of shares of a network."""
    return f"subspace + {100 * fmean(shares):.2g} % network" if any(shares) else _UNUSED


def low_rank_start(given: Gathered, kspace: KSpace, options: SubspaceOptions, budget: Budget) -> LowRankStart:
    """A subspace reconstruction of the spokes that have weight, in the unit of the samples."""
    result = solve(kspace, given.maps, options, budget)
    components = result.components / (given.scale * kspace.n_frames**0.5)
    return LowRankStart(components, given.maps.maps, given.temporal(result.basis))


@dataclass(frozen=True)
class JudgedStart:
    """A start from the spokes that are fitted, which is solved again from all of them after the fit."""

    given: Gathered
    first: LowRankStart
    """Has not seen the held-out spokes, so that they can judge what a field adds to it."""
    options: SubspaceOptions
    """With weights that were chosen, once for both."""
    again_s: float
    """Time that is kept for the second one."""

    @classmethod
    def solve(cls, given: Gathered, budget: Budget) -> JudgedStart:
        """The first start, which tells how long the second one takes."""
        options = choose(given.fitted_kspace, given.maps, SubspaceOptions(), budget)
        began = time.monotonic()
        first = low_rank_start(given, given.fitted_kspace, options, budget)
        return cls(given, first, options, 1.5 * (time.monotonic() - began))

    def rest_of(self, budget: Budget) -> Budget:
        """What the fit may take."""
        return replace(budget, seconds=budget.seconds - self.again_s)

    def final(self, budget: Budget) -> LowRankStart:
        """The start from all spokes, or the first one where no time is left."""
        if budget.left_s <= self.again_s / 2:
            return self.first
        return low_rank_start(self.given, self.given.kspace, self.options, budget)


def start_alone(problem: FieldProblem, budget: Budget) -> Reconstruction:
    """The subspace reconstruction, where no spokes can be held out to judge a network by."""
    given = problem.given
    start = low_rank_start(given, given.kspace, SubspaceOptions(), budget)
    told = "without a judge, the images are those of the subspace start"
    return problem.reconstruction(None, start, FitReport("no judge", shares=(0.0,)), told)
