"""A subspace series whose frames are averaged with their neighbours, moved onto them.

The series of :mod:`~python_recon.methods.subspace` is averaged frame by frame with the frames that resemble
it most, warped onto it by optical flow (:mod:`python_recon.motion.averaging`). What the average a lost of the
data is brought back: every frame x minimises ::

    |W^1/2 (F S x - y)|^2 + mu |x - a|^2

by a few conjugate gradients from a. The next round averages the result. How much of each round is taken, the
unbiased risk decides: the whole is run on data with a little more noise, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from pydantic import Field

from python_recon.data import CoilMaps, KSpace
from python_recon.judging.risk import Pair, Risk
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import LowRank, SubspaceOptions, solve
from python_recon.motion.averaging import Averaged, Averaging, average_neighbours
from python_recon.operators.sense_problem import SenseProblem
from python_recon.operators.toeplitz import SenseGram
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget, part_of, silent
from python_recon.solvers.cg import conjugate_gradient

_A_PIXEL = 1000.0
"""Bytes of a moved neighbour with the products of its slopes, in the frames that are averaged at once."""
_LEAST_SHARE = 0.02
"""Below which a round is none."""
_ARE_START = "the images are those of subspace"
_NO_TIME = "no time was left for motion"


class MotionOptions(SubspaceOptions):
    """Options of ``motion``: those of its start, and its own."""

    neighbours: int = Field(12, ge=1, le=64)
    """Frames that are averaged with each."""
    similarity: float = Field(2.0, ge=0.1, le=100)
    """Difference of a moved frame at which its weight falls to exp(-1/2), in units of the noise."""
    flow_radius: int = Field(4, ge=1, le=32)
    """Of the window of the optical flow, pixels."""
    flow_warps: int = Field(3, ge=1, le=50)
    """Refinements of the flow at each level."""
    rounds: int = Field(2, ge=1, le=10)
    """Most rounds of averaging."""
    closeness: float = Field(3.0, gt=0, le=1e3)
    """mu, against a normal operator with eigenvalues of up to about 1."""
    data_steps: int = Field(3, ge=1, le=100)
    """Conjugate gradients for the data of every frame."""


def run(kspace: KSpace, maps: CoilMaps, options: MotionOptions, budget: Budget) -> Reconstruction:
    """The series; where the deadline comes sooner, with the rounds that are done."""
    start = solve(kspace, maps, options, budget)
    reason = _why_not(kspace, start)
    if reason or budget.is_spent:
        return _of_start(start, reason or _NO_TIME)
    risk = Risk(kspace, maps)
    disturbed = risk.disturbed
    noisier = solve(disturbed, maps, start.options, replace(budget, report=silent))
    if budget.is_spent:
        return _of_start(start, _NO_TIME)
    slices = _slices(kspace, disturbed, maps, options)
    rounds = _judged_rounds(slices, risk, (start.images, noisier.images), options, budget)
    return _of_rounds(start, rounds, risk)


def _why_not(kspace: KSpace, start: LowRank) -> str:
    """Why there is nothing to average; empty where there is."""
    if kspace.n_frames == 1:
        return "one frame has no neighbours"
    if kspace.noise is None or kspace.noise.std == 0:
        return "data without noise need no average"
    return "" if bool(start.components.any()) else "there is nothing to average"


def _of_start(start: LowRank, reason: str) -> Reconstruction:
    return Reconstruction(start.images, {**start.details, "shares": []}, comment=f"{reason}: {_ARE_START}")


@dataclass(frozen=True)
class _Slice:
    """A slice whose series are averaged."""

    problem: SenseProblem
    gram: SenseGram
    options: MotionOptions

    def round(self, images: torch.Tensor, budget: Budget) -> Averaged | None:
        """Averaged, and closer to the data again; None where the time ran out before."""

        def is_over(done: float) -> bool:
            budget.report("motion", done)
            return budget.is_spent

        averaged = average_neighbours(images, self._how, is_over)
        if averaged is None:
            return None
        closer = self._closer_to_data(averaged.images, budget)
        followed = averaged.is_followed[:, None, None]
        return None if budget.is_spent else replace(averaged, images=torch.where(followed, closer, images))

    @property
    def _how(self) -> Averaging:
        options = self.options
        sigma = options.similarity * float(self.problem.noise)
        return Averaging(options.neighbours, options.flow_radius, options.flow_warps, sigma)

    def _closer_to_data(self, images: torch.Tensor, budget: Budget) -> torch.Tensor:
        weight = self.options.closeness
        return conjugate_gradient(
            lambda x: self.gram(x) + weight * x,
            self.problem.right_side + weight * images,
            self.options.data_steps,
            images,
            lambda _done: budget.is_spent,
        )


def _slices(
    kspace: KSpace, disturbed: KSpace, maps: CoilMaps, options: MotionOptions
) -> tuple[_Slice, _Slice]:
    """Of the data, and of those with a little more noise."""
    problem = SenseProblem.from_kspace(kspace, maps)
    noisier = problem.of(disturbed, maps)
    gram = SenseGram(problem.kernels, problem.maps)
    return _Slice(problem, gram, options), _Slice(noisier, gram, options)


@dataclass(frozen=True)
class _Rounds:
    """What was averaged, as far as it lowered the risk."""

    pair: Pair
    shares: tuple[float, ...]
    """Of each round."""
    is_followed: torch.Tensor
    """(frame,) bool: in any of the rounds."""

    def and_then(self, share: float, end: Averaged, noisier: Averaged) -> _Rounds:
        """With that share of another round."""
        one, other = self.pair
        pair = (torch.lerp(one, end.images, share), torch.lerp(other, noisier.images, share))
        return _Rounds(pair, (*self.shares, share), self.is_followed | end.is_followed)

    @property
    def n_lost(self) -> int:
        """Frames that are those of the start."""
        return int((~self.is_followed).sum())

    @property
    def comment(self) -> str:
        """What they are, for who reads the images."""
        lost = (
            f"{self.n_lost} of {len(self.is_followed)} frames moved more than could be followed: they are "
            "those of subspace"
        )
        if not self.shares:
            return "; ".join(
                [f"motion has no share by the risk: {_ARE_START}", *([lost] * (self.n_lost > 0))]
            )
        told = " and ".join(f"{100 * share:.0f} %" for share in self.shares)
        return "; ".join([f"subspace + {told} motion", *([lost] * (self.n_lost > 0))])


def _judged_rounds(
    slices: tuple[_Slice, _Slice], risk: Risk, begin: Pair, options: MotionOptions, budget: Budget
) -> _Rounds:
    """Rounds, until one does not lower the risk or the time is over."""
    is_followed = torch.zeros(len(begin[0]), dtype=torch.bool, device=begin[0].device)
    rounds = _Rounds(begin, (), is_followed)
    for number in range(options.rounds):
        ends = []
        for at, (each, images) in enumerate(zip(slices, rounds.pair, strict=True)):
            report = part_of(budget.report, 2 * number + at, 2 * options.rounds)
            ends.append(each.round(images, replace(budget, report=report)))
        end, noisier = ends
        if end is None or noisier is None:
            return rounds
        share = risk.share(rounds.pair, (end.images, noisier.images))
        if share < _LEAST_SHARE:
            return rounds
        rounds = rounds.and_then(share, end, noisier)
    return rounds


def _of_rounds(start: LowRank, rounds: _Rounds, risk: Risk) -> Reconstruction:
    details = {**start.details, "shares": list(rounds.shares), "frames_not_followed": rounds.n_lost}
    return Reconstruction(rounds.pair[0], details, comment=rounds.comment, expected=risk.of(*rounds.pair))


def motion_need(size: Size, options: MotionOptions) -> float:
    """Memory: two series and twice the data, and the neighbours of the frames that are averaged at once."""
    pixels = size.matrix[0] * size.matrix[1]
    neighbours = min(options.neighbours, size.n_frames)
    return series_need(size, options) + 2 * size.samples + 6 * size.images + _A_PIXEL * neighbours * pixels


METHOD = Method(run, MotionOptions, motion_need)
