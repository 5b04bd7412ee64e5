"""A network that was trained on other scans, on the component images of this one: ``ssdu`` and ``ssfl``.

The series is x = V u of :mod:`~python_recon.methods.subspace`; the network changes u and the data mend what
it got wrong (:class:`~python_recon.networks.component_network.ComponentNetwork`). How much of the change the
images get is what the risk of this scan asks for (:mod:`python_recon.judging.risk`). ``adapt_steps`` trains
the network a little more, on pairs of noisier data of this scan, before.

Outside of the ranges that it learned from, the network is not asked: the ladder goes on with ``subspace``,
and the images tell why.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError, DataError
from python_recon.fitting.descent import Descent, adam, cosine, descend
from python_recon.fitting.pairs import Pair, Start
from python_recon.fitting.trained_model import Card, Facts, load_model
from python_recon.judging.risk import Risk
from python_recon.judging.shares import WHOLE, Shares
from python_recon.methods.component_scan import ComponentScan, unit_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions
from python_recon.networks.component_network import ComponentNetwork
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

_log = logging.getLogger(__name__)
_JUDGES, _PAIRS = 1, 4
"""Pairs of noisier data for an adaptation: to judge by, and to learn from."""


class TrainedOptions(Section):
    """Options of ``ssdu`` and ``ssfl``."""

    model: str = Field("", max_length=4096)
    """File of the network, as `gadgetron-pisco train` writes it."""
    adapt_steps: int = Field(0, ge=0, le=100_000)
    """Steps of the optimiser on this scan, before the network is used; the deadline ends them."""
    adapt_rate: float = Field(2e-4, gt=0, le=1)
    """Learning rate of these steps."""
    start_steps: int = Field(6, ge=1, le=1000)
    """Gradient steps of ``subspace`` for disturbed data, from the images of the scan."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the noise that the share and the adaptation are judged by."""


def run(kspace: KSpace, maps: CoilMaps, options: TrainedOptions, budget: Budget) -> Reconstruction:
    """The series; raises where there is no model for it, and the ladder goes on."""
    network, card = load_for(kspace, options.model)
    unit = unit_of(kspace)
    scan = ComponentScan.solve(kspace.in_units_of(unit), maps, budget)
    if scan.kspace.noise is None or not scan.kspace.noise.std:
        told = "the data hold no noise: nothing is left for a network: the images are those of subspace"
        return Reconstruction(
            unit * scan.solution.images, {"shares": (0.0,)}, comment=told, made_by="subspace"
        )
    end = _End(scan, options, card)
    told = ""
    if options.adapt_steps:
        network, told = end.adapted(network, budget)
    result = end.reconstruction(network, told)
    return replace(result, images=result.images * unit)


def load_for(kspace: KSpace, model: str) -> tuple[ComponentNetwork, Card]:
    """The network of a file, on the device of the k-space.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    BackendError
        If the scan lies outside of what the network learned from.
    """
    if not model:
        raise DataError(
            "options.model names no file: train a network with `gadgetron-pisco train` and name its file"
        )
    network, card = load_model(Path(model), kspace.data.device)
    departures = card.ranges.departures(Facts.of(kspace))
    if departures:
        raise BackendError(f"the scan is unlike those that {Path(model).name} learned from: {departures[0]}")
    return network, card


class _End:
    """What a trained network does to the images of a scan."""

    def __init__(self, scan: ComponentScan, options: TrainedOptions, card: Card) -> None:
        self._scan, self._options, self._card = scan, options, card
        self._risk = Risk(scan.kspace, scan.maps, options.seed)
        self._starts = scan.own_start, scan.disturbed_start(self._risk, options)

    @torch.no_grad()
    def reconstruction(self, network: ComponentNetwork, told: str) -> Reconstruction:
        """At the share of least risk."""
        starts = [self._scan.images_of(start.components) for start in self._starts]
        ends = [
            self._scan.images_of(start.components + self._change(network, start)) for start in self._starts
        ]
        share = self._risk.share((starts[0], starts[1]), (ends[0], ends[1]))
        images, disturbed = (torch.lerp(start, end, share) for start, end in zip(starts, ends, strict=True))
        part = f"subspace and {100 * share:.0f} % of what the trained network changes"
        if not share:
            part = "the risk gives the trained network no share: these are the images of subspace"
        return Reconstruction(
            images,
            {"shares": (share,), "model": self._card.version, "validation": self._card.best},
            comment="; ".join(filter(None, [part, told])),
            made_by=self._card.method if share else "subspace",
            expected=self._risk.of(images, disturbed),
        )

    def adapted(self, network: ComponentNetwork, budget: Budget) -> tuple[ComponentNetwork, str]:
        """The network after a few steps on this scan, where they make it better by pairs kept to judge by."""
        pairs = self._scan.make_pairs(_PAIRS + _JUDGES, self._options, budget)
        if len(pairs) <= _JUDGES:
            return network, "there was no time to adapt the network"
        network = copy.deepcopy(network).requires_grad_(requires_grad=True).train()
        weights = network.learnable()
        device = self._scan.kspace.data.device
        optimiser = adam(weights, self._options.adapt_rate, device)
        learned, judges = pairs[:-_JUDGES], pairs[-_JUDGES:]

        def error(pair: Pair) -> torch.Tensor:
            return pair.loss(self._change(network, pair.start), 0)

        def step(number: int, _done: float) -> torch.Tensor:
            optimiser.zero_grad(set_to_none=True)
            loss = error(learned[number % len(learned)])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return loss.detach()

        @torch.no_grad()
        def judge() -> tuple[float, Shares]:
            return float(torch.stack([error(pair) for pair in judges]).mean()), WHOLE

        report = descend(
            network,
            optimiser,
            step,
            Descent("adaptation", self._options.adapt_steps, cosine, 6),
            budget,
            judge,
        )
        return network.eval(), f"adapted to the scan in {report.best_step} steps"

    def _change(self, network: ComponentNetwork, start: Start) -> torch.Tensor:
        noise = self._scan.kspace.noise
        std = noise.std if noise is not None else 0.0
        changed: torch.Tensor = network(self._scan.gram, start.components, start.residual, std)
        return self._scan.within_reach(changed)


def trained_need(size: Size, options: TrainedOptions) -> float:
    """Memory: a series, its kernels twice, the noise of the disturbance, the network's layers."""
    n_pixels = size.matrix[0] * size.matrix[1]
    n_components = min(SubspaceOptions().components, size.n_frames)
    pairs = _PAIRS + _JUDGES if options.adapt_steps else 0
    layers = 4.0 * n_pixels * 32 * (48 if options.adapt_steps else 12)
    return (
        series_need(size)
        + 4 * size.images
        + 3 * size.samples
        + layers
        + 8.0 * n_pixels * n_components * (3 * pairs + 12)
    )


METHOD = Method(run, TrainedOptions, trained_need)
