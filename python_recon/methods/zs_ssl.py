"""Zero-shot self-supervision: a small network learns from the scan itself what its subspace images lack.

The series is x = V u of :mod:`~python_recon.methods.subspace`. A convolutional network N reads the component
images u and changes them, and a data term mends what it got wrong::

    d = argmin |W^1/2 (F S V (u + d) - y)|^2 / 2 + mu |d - N(u)|^2 / 2

It is trained on pairs ``y + n'``, ``y - n'`` of the same scan, n' fresh noise of the known size: u and the
data term see the first, the loss is the squared error of the second, weighed by the density. All in the loop
is a convolution: no NUFFT. Some pairs are kept to judge by. In the end the network changes the images of y,
at the share that has the least risk (:mod:`python_recon.judging.risk`, the network's weights held fixed).

Zero-shot unrolled networks: Yaman et al., arXiv:2102.07737, who split the samples instead. Recorrupted pairs:
:mod:`python_recon.fitting.recorrupted`. The form, one network in a temporal subspace, is ours.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.descent import Descent, FitReport, adam, cosine, descend
from python_recon.fitting.recorrupted import Pair, Start, quadratic
from python_recon.fitting.shrinking import shrunk, within_memory
from python_recon.judging.risk import Risk
from python_recon.judging.shares import WHOLE, Shares
from python_recon.methods.component_scan import ComponentScan, unit_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions
from python_recon.networks.consistency import consistent
from python_recon.networks.residual import ResidualCnn
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_FEWEST_CHANNELS = 8
_PATIENCE = 6
"""Judgements without a better one, after which the network has learned what it can."""
_UNUSED = "the risk gives the network no share: these are the images of subspace"


class ZsSslOptions(Section):
    """Options of ``zs_ssl``."""

    channels: int = Field(32, ge=4, le=512)
    """Of the inner layers."""
    layers: int = Field(4, ge=2, le=32)
    """3 x 3 layers."""
    steps: int = Field(200, ge=1, le=100_000)
    """Most steps of the optimiser, one pair each."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """Of Adam, at first; it falls to zero along a cosine by the last step or the deadline."""
    pairs: int = Field(6, ge=1, le=64)
    """Draws of noise to train on."""
    judges: int = Field(2, ge=1, le=64)
    """More of them, to judge by."""
    mu: float = Field(3.0, gt=0, le=1e3)
    """How much the network is trusted against the data, whose fully sampled k-space counts 1."""
    data_steps: int = Field(1, ge=1, le=16)
    """Gradient steps towards the data behind the network."""
    start_steps: int = Field(6, ge=1, le=1000)
    """Gradient steps of ``subspace`` for a pair, from the images of the scan."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the noise and of the first weights."""

    def smaller(self) -> Self | None:
        """With a narrower network."""
        if self.channels <= _FEWEST_CHANNELS:
            return None
        return self.model_copy(update={"channels": max(self.channels // 2, _FEWEST_CHANNELS)})


def run(kspace: KSpace, maps: CoilMaps, options: ZsSslOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best network it has."""
    unit = unit_of(kspace)
    scan = ComponentScan.solve(kspace.in_units_of(unit), maps, budget)
    result = _improved(scan, options, budget)
    return replace(result, images=result.images * unit)


def _improved(scan: ComponentScan, options: ZsSslOptions, budget: Budget) -> Reconstruction:
    """The subspace images and what a network adds to them."""
    if scan.kspace.noise is None or not scan.kspace.noise.std:
        return _start_alone(scan, "the data hold no noise: nothing is left for a network")
    began = time.monotonic()
    risk = Risk(scan.kspace, scan.maps, options.seed)
    end = _End(scan, risk, scan.disturbed_start(risk, options))
    pairs = scan.make_pairs(options.pairs + options.judges, options, budget)
    if len(pairs) < 2:
        return _start_alone(scan, "the time was up before a network could be trained")
    rest = replace(budget, seconds=budget.seconds - (time.monotonic() - began) / len(pairs))
    training = _Training(scan, pairs)
    (net, report), taken = within_memory(lambda chosen: training.fit(chosen, rest), options)
    return end.reconstruction(net, taken, report, shrunk(options, taken))


def _start_alone(scan: ComponentScan, why: str) -> Reconstruction:
    told = f"{why}: the images are those of subspace"
    return Reconstruction(scan.solution.images, {"shares": (0.0,)}, comment=told)


def _change(scan: ComponentScan, net: ResidualCnn, start: Start, options: ZsSslOptions) -> torch.Tensor:
    """(component, y, x) what the network and the data behind it make of a start."""
    return consistent(scan.gram, net(start.components), start.residual, options.mu, options.data_steps)


class _Training:
    """Of a network, on pairs of a scan; the last ones are kept to judge by."""

    def __init__(self, scan: ComponentScan, pairs: list[Pair]) -> None:
        self._scan, self._pairs = scan, pairs

    def fit(self, options: ZsSslOptions, budget: Budget) -> tuple[ResidualCnn, FitReport]:
        """A network as good as the judges found any."""
        n_judges = min(options.judges, len(self._pairs) // 2)
        learned, judges = self._pairs[:-n_judges], self._pairs[-n_judges:]
        net = self._network(options)
        optimiser = adam(net.parameters(), options.learning_rate, self._scan.kspace.data.device)

        def step(number: int, _done: float) -> torch.Tensor:
            optimiser.zero_grad(set_to_none=True)
            error = self._error(net, learned[number % len(learned)], options)
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return error.detach()

        @torch.no_grad()
        def judge() -> tuple[float, Shares]:
            errors = [self._error(net, pair, options) for pair in judges]
            return float(torch.stack(errors).mean()), WHOLE

        descent = Descent("network", options.steps, cosine, _PATIENCE)
        return net, descend(net, optimiser, step, descent, budget, judge)

    def _network(self, options: ZsSslOptions) -> ResidualCnn:
        components = self._scan.solution.components
        generator = torch.Generator().manual_seed(options.seed)
        magnitudes = components.abs().amax((-2, -1)).cpu()
        net = ResidualCnn(magnitudes, options.channels, options.layers, generator)
        return net.to(components.device)

    def _error(self, net: ResidualCnn, pair: Pair, options: ZsSslOptions) -> torch.Tensor:
        """How far changed images lie from the other data of a pair; 1 for unchanged ones, and a noise less.

        ``1 + (|A d|^2 - 2 Re <A d, y - A u>) / noise``, a square whose constant part is left out.
        """
        change = _change(self._scan, net, pair.start, options)
        return 1 + quadratic(self._scan.dense_gram, change, pair.target) / self._scan.noise_energy


@dataclass(frozen=True)
class _End:
    """What a trained network does to the images of the scan."""

    scan: ComponentScan
    risk: Risk
    disturbed: Start

    @torch.no_grad()
    def reconstruction(
        self, net: ResidualCnn, options: ZsSslOptions, report: FitReport, told: str
    ) -> Reconstruction:
        """At the share of least risk."""
        starts, ends = zip(*(self._images(net, start, options) for start in self._starts), strict=True)
        share = self.risk.share(starts, ends)
        images, disturbed = (torch.lerp(start, end, share) for start, end in zip(starts, ends, strict=True))
        part = f"subspace and {100 * share:.0f} % of what a network changes" if share else _UNUSED
        return Reconstruction(
            images,
            {**asdict(report), "shares": (share,)},
            comment="; ".join(filter(None, [part, told])),
            expected=self.risk.of(images, disturbed),
        )

    @property
    def _starts(self) -> tuple[Start, Start]:
        return self.scan.own_start, self.disturbed

    def _images(
        self, net: ResidualCnn, start: Start, options: ZsSslOptions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Before and after."""
        change = _change(self.scan, net, start, options)
        return self.scan.images_of(start.components), self.scan.images_of(start.components + change)


def zs_ssl_need(size: Size, options: ZsSslOptions) -> float:
    """Memory of a fit: a series, its kernels twice, the noise of a pair, the network's layers."""
    n_pixels = size.matrix[0] * size.matrix[1]
    n_components = min(SubspaceOptions().components, size.n_frames)
    layers = 4.0 * n_pixels * options.channels * 4 * options.layers
    components = 8.0 * n_pixels * n_components * (3 * (options.pairs + options.judges) + 12)
    return series_need(size) + 4 * size.images + 3 * size.samples + layers + components


METHOD = Method(run, ZsSslOptions, zs_ssl_need)
