"""What ``zs_ssl`` and ``zero_mirid`` share: a network that one scan teaches what its subspace images lack.

The series is x = V u of :mod:`~python_recon.methods.subspace`. A network N reads the component images u and
changes them, and a data term mends what it got wrong::

    d = argmin |W^1/2 (F S V (u + d) - y)|^2 / 2 + mu |d - N(u)|^2 / 2

It is trained on pairs of data (see :mod:`python_recon.fitting.pairs`): u and the data term see the first, the
loss compares with the second. Either both are the scan with noise added and taken off, and no sample is held
out; or the second are samples that the first lack. Some are kept to judge by. In the end the network changes
the images of all data, at the share that has the least risk (:mod:`python_recon.judging.risk`, the network's
weights held fixed).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.descent import Descent, FitReport, adam, cosine, descend
from python_recon.fitting.network_file import TrainedNetwork, begin, keep
from python_recon.fitting.pairs import Pair, SolvedSlice, Start
from python_recon.fitting.recorrupted import NOISE_OF_A_PAIR, PairMaker
from python_recon.fitting.shrinking import shrunk, within_memory
from python_recon.fitting.split_pairs import SplitMaker
from python_recon.judging.risk import Risk
from python_recon.judging.shares import WHOLE, Shares
from python_recon.losses.measured import LossName
from python_recon.methods.registry import Reconstruction
from python_recon.methods.subspace import LowRank, SubspaceOptions, SubspaceSolver, choose, steps_needed
from python_recon.networks.consistency import consistent
from python_recon.operators.reach import reach_of, within_reach
from python_recon.operators.sense import density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_FEWEST_CHANNELS = 8
_PATIENCE = 6
"""Judgements without a better one, after which the network has learned what it can."""
_STEPS_OF_A_SPLIT = 16
"""Gradient steps from nothing to the images of a part of the samples, at least."""
_UNUSED = "the risk gives the network no share: these are the images of subspace"


class ZeroShotOptions(Section):
    """Options of networks that one scan teaches."""

    channels: int = Field(32, ge=4, le=512)
    """Of the inner layers."""
    layers: int = Field(4, ge=2, le=32)
    """3 x 3 layers."""
    unrolls: int = Field(1, ge=1, le=32)
    """How often network and data term follow each other, with the same weights."""
    steps: int = Field(200, ge=1, le=100_000)
    """Most steps of the optimiser, one pair each."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """Of Adam, at first; it falls to zero along a cosine by the last step or the deadline."""
    loss: LossName = "density"
    """What is minimised (see python_recon.losses.measured): usual, log, combined, mu_law, hdr or density; the
    last one predicts no samples and is the quickest."""
    pairs: Literal["recorrupted", "masks"] = "recorrupted"
    """recorrupted: the scan with noise added and taken off; masks: samples that are held out in turn."""
    draws: int = Field(6, ge=1, le=64)
    """Pairs to train on."""
    judges: int = Field(2, ge=1, le=64)
    """More of them, to judge by; of masks, the groups of samples that are the validation set."""
    mu: float = Field(3.0, gt=0, le=1e3)
    """How much the network is trusted against the data, whose fully sampled k-space counts 1."""
    data_steps: int = Field(1, ge=1, le=16)
    """Gradient steps towards the data behind the network."""
    start_steps: int = Field(6, ge=1, le=1000)
    """Gradient steps of ``subspace`` for recorrupted data, from the images of the scan."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the noise or the groups, and of the first weights."""
    checkpoint: str = Field("", pattern=r"^$|\.safetensors$")
    """File (.safetensors) to save the network to; slice, contrast and set complete its name. Empty: none."""
    model: str = Field("", pattern=r"^$|\.safetensors$")
    """Such a file to begin with, of this scan or of another. Empty: none."""

    def smaller(self) -> Self | None:
        """With a narrower network."""
        if self.channels <= _FEWEST_CHANNELS:
            return None
        return self.model_copy(update={"channels": max(self.channels // 2, _FEWEST_CHANNELS)})


MakeNetwork: TypeAlias = Callable[[torch.Tensor, ZeroShotOptions, torch.Generator], nn.Module]
"""A network of component images (component, y, x) of a scan, which at first changes nothing."""


def run(
    kspace: KSpace, maps: CoilMaps, options: ZeroShotOptions, budget: Budget, make: MakeNetwork
) -> Reconstruction:
    """The series; stops at the deadline with the best network it has."""
    unit = _unit_of(kspace)
    scan = _Scan.solve(kspace.in_units_of(unit), maps, budget)
    result = _improved(scan, options, budget, make)
    return replace(result, images=result.images * unit)


def _improved(scan: _Scan, options: ZeroShotOptions, budget: Budget, make: MakeNetwork) -> Reconstruction:
    """The subspace images and what a network adds to them."""
    if scan.kspace.noise is None or not scan.kspace.noise.std:
        return _start_alone(scan, "the data hold no noise: nothing is left for a network")
    began = time.monotonic()
    risk = Risk(scan.kspace, scan.maps, options.seed)
    end = _End(scan, risk, scan.disturbed_start(risk, options))
    learned, judges = scan.make_pairs(options, budget)
    if not (learned and judges):
        return _start_alone(scan, "the time was up before a network could be trained")
    made_in = time.monotonic() - began
    rest = replace(budget, seconds=budget.seconds - made_in / (len(learned) + len(judges)))
    training = _Training(scan, learned, judges, make)
    (net, report), taken = within_memory(lambda chosen: training.fit(chosen, rest), options)
    told = [shrunk(options, taken), keep(net, options.checkpoint, scan.kspace)]
    return end.reconstruction(net, taken, report, "; ".join(filter(None, told)))


def _start_alone(scan: _Scan, why: str) -> Reconstruction:
    told = f"{why}: the images are those of subspace"
    return Reconstruction(scan.solution.images, {"shares": (0.0,)}, comment=told, made_by="subspace")


def _unit_of(kspace: KSpace) -> float:
    """A power of two near the noise, so that float32 holds what is computed and no digit is changed."""
    std = kspace.noise.std if kspace.noise is not None else 0.0
    return math.ldexp(1.0, math.frexp(std)[1]) if std > 0 else 1.0


@dataclass(frozen=True)
class _Scan:
    """A slice that is solved in its temporal subspace, and what training and result need of it."""

    kspace: KSpace
    maps: CoilMaps
    solver: SubspaceSolver
    solution: LowRank

    @classmethod
    def solve(cls, kspace: KSpace, maps: CoilMaps, budget: Budget) -> _Scan:
        """The start, with the weights of least risk."""
        solver = SubspaceSolver(kspace, maps, budget)
        return cls(kspace, maps, solver, solver.solve(choose(kspace, maps, SubspaceOptions(), budget)))

    @cached_property
    def solved(self) -> SolvedSlice:
        """What pairs are made of."""
        return SolvedSlice(self.kspace, self.maps, self.solution.basis, self.solution.components)

    @cached_property
    def gram(self) -> SubspaceGram:
        """Normal operator of the data term."""
        return self.solver.gram(self.solution)

    def _maker(self, loss: LossName) -> PairMaker:
        """Of recorrupted pairs; the density makes the quadratic loss an integral over the image."""
        kernels = point_spread_kernels(self.kspace.trajectory, density_of(self.kspace), self.kspace.matrix)
        dense_gram = SubspaceGram(kernels, self.maps.maps, self.solution.basis)
        return PairMaker(self.solved, (self.gram, dense_gram), loss)

    def _noisier(self, noise: float, options: ZeroShotOptions) -> Callable[[torch.Tensor], torch.Tensor]:
        """Solves data whose noise is so many times that of the scan."""
        return lambda residual: self.solver.solve_noisier(
            self.solution, self.gram, residual, noise, options.start_steps
        )

    def _solve_split(self, gram: SubspaceGram, right_side: torch.Tensor, share: float) -> torch.Tensor:
        """A part of the samples, from nothing: what is known of the others must not come in."""
        nothing = replace(self.solution, components=torch.zeros_like(right_side))
        steps = max(_STEPS_OF_A_SPLIT, steps_needed(self.kspace))
        return self.solver.solve_noisier(nothing, gram, right_side, math.sqrt(share), steps)

    def make_pairs(self, options: ZeroShotOptions, budget: Budget) -> tuple[list[Pair], list[Pair]]:
        """To train on and to judge by; fewer where the time is up."""
        if options.pairs == "masks":
            splits = SplitMaker(self.solved, options.draws, options.judges, options.loss, options.seed)
            makers = [partial(splits.judge, self._solve_split)]
            makers += [partial(splits.pair, number, self._solve_split) for number in range(options.draws)]
            pairs = _as_many(makers, budget)
            return pairs[1:], pairs[:1]
        maker, solve = self._maker(options.loss), self._noisier(NOISE_OF_A_PAIR, options)
        seeds = range(options.seed, options.seed + options.draws + options.judges)
        pairs = _as_many([partial(maker.pair, seed, solve) for seed in seeds], budget)
        n_judges = min(options.judges, len(pairs) // 2)
        return pairs[: len(pairs) - n_judges], pairs[len(pairs) - n_judges :]

    @property
    def own_start(self) -> Start:
        """The solution of the data as they are."""
        return self._start(self.solved.missing, lambda _residual: self.solution.components)

    def disturbed_start(self, risk: Risk, options: ZeroShotOptions) -> Start:
        """That of the disturbed data of the risk."""
        disturbance = risk.disturbed.data - self.kspace.data
        return self._start(self.solved.missing + disturbance, self._noisier(1.0, options))

    def _start(self, missing: torch.Tensor, solve: Callable[[torch.Tensor], torch.Tensor]) -> Start:
        return self.solved.start(missing, self.gram, solve)

    @cached_property
    def _reach(self) -> float:
        return reach_of(self.kspace)

    def change(
        self,
        net: nn.Module,
        start: Start,
        gram: Callable[[torch.Tensor], torch.Tensor],
        options: ZeroShotOptions,
    ) -> torch.Tensor:
        """(component, y, x) what the network and the data behind it make of a start, where samples reach."""
        change = torch.zeros_like(start.components)
        for _ in range(options.unrolls):
            proposed = change + net(start.components + change)
            change = consistent(gram, proposed, start.residual, options.mu, options.data_steps)
        return within_reach(change, self._reach)

    def images_of(self, components: torch.Tensor) -> torch.Tensor:
        """(frame, y, x)."""
        return replace(self.solution, components=components).images


def _as_many(makers: Sequence[Callable[[], Pair]], budget: Budget) -> list[Pair]:
    """As there is time for."""
    pairs: list[Pair] = []
    for make in makers:
        if budget.is_spent:
            break
        pairs.append(make())
        budget.report("pairs of data", len(pairs) / len(makers))
    return pairs


@dataclass(frozen=True)
class _Training:
    """Of a network, on pairs of a scan."""

    scan: _Scan
    learned: list[Pair]
    judges: list[Pair]
    make: MakeNetwork

    def fit(self, options: ZeroShotOptions, budget: Budget) -> tuple[nn.Module, FitReport]:
        """A network as good as the judges found any."""
        components = self.scan.solution.components
        net = self.make(components.cpu(), options, torch.Generator().manual_seed(options.seed))
        net = begin(net.to(components.device), options.model, budget.start)
        optimiser = adam(net.parameters(), options.learning_rate, components.device)

        def error(pair: Pair, number: int) -> torch.Tensor:
            return pair.loss(self.scan.change(net, pair.start, pair.gram, options), number)

        def step(number: int, _done: float) -> torch.Tensor:
            optimiser.zero_grad(set_to_none=True)
            wrong = error(self.learned[number % len(self.learned)], number // len(self.learned))
            wrong.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return wrong.detach()

        @torch.no_grad()
        def judge() -> tuple[float, Shares]:
            return float(torch.stack([error(pair, 0) for pair in self.judges]).mean()), WHOLE

        descent = Descent("network", options.steps, cosine, _PATIENCE)
        return net, descend(net, optimiser, step, descent, budget, judge)


@dataclass(frozen=True)
class _End:
    """What a trained network does to the images of the scan."""

    scan: _Scan
    risk: Risk
    disturbed: Start

    @torch.no_grad()
    def reconstruction(
        self, net: nn.Module, options: ZeroShotOptions, report: FitReport, told: str
    ) -> Reconstruction:
        """At the share of least risk."""
        starts, ends = zip(*(self._images(net, start, options) for start in self._starts), strict=True)
        share = self.risk.share(starts, ends)
        images, disturbed = (torch.lerp(start, end, share) for start, end in zip(starts, ends, strict=True))
        part = f"subspace and {100 * share:.0f} % of what a network changes" if share else _UNUSED
        return Reconstruction(
            images,
            {**asdict(report), "shares": (share,)},
            state=TrainedNetwork.of(net),
            comment="; ".join(filter(None, [part, told])),
            made_by="" if share else "subspace",
            expected=self.risk.of(images, disturbed),
        )

    @property
    def _starts(self) -> tuple[Start, Start]:
        return self.scan.own_start, self.disturbed

    def _images(
        self, net: nn.Module, start: Start, options: ZeroShotOptions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Before and after."""
        change = self.scan.change(net, start, self.scan.gram, options)
        return self.scan.images_of(start.components), self.scan.images_of(start.components + change)


def zero_shot_need(size: Size, options: ZeroShotOptions, layers: int) -> float:
    """Memory of a fit: a series, its kernels twice, the noise of a pair, so many layers of the network.

    Of held-out samples every pair has normal operators of its own; a loss of samples keeps predictions.
    """
    n_pixels = size.matrix[0] * size.matrix[1]
    n_components = min(SubspaceOptions().components, size.n_frames)
    of_layers = 4.0 * n_pixels * options.channels * 4 * layers * options.unrolls
    components = 8.0 * n_pixels * n_components * (3 * (options.draws + options.judges) + 12)
    operators = 2 * (options.draws + 1) * 32.0 * n_pixels * n_components**2
    samples = size.samples * (options.draws + options.judges if options.loss != "density" else 0)
    extra = samples + (operators if options.pairs == "masks" else 0.0)
    return series_need(size) + 4 * size.images + 3 * size.samples + of_layers + components + extra
