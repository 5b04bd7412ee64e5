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
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError, DataError
from python_recon.fitting.descent import adam
from python_recon.fitting.pair_training import train_on_pairs
from python_recon.fitting.pairs import Pair, Start
from python_recon.fitting.trained_model import Card, Facts, load_model
from python_recon.methods.bounds import GradientSteps, Seed
from python_recon.methods.component_end import ComponentEnd, start_alone
from python_recon.methods.component_scan import ComponentScan, unit_of
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.subspace import SubspaceOptions
from python_recon.networks.component_network import ComponentNetwork
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

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
    start_steps: GradientSteps = 6
    """Gradient steps of ``subspace`` for disturbed data, from the images of the scan."""
    seed: Seed = 0
    """Of the noise that the share and the adaptation are judged by."""


def run(kspace: KSpace, maps: CoilMaps, options: TrainedOptions, budget: Budget) -> Reconstruction:
    """The series; raises where there is no model for it, and the ladder goes on."""
    network, card = load_for(kspace, options.model)
    unit = unit_of(kspace)
    scan = ComponentScan.solve(kspace.in_units_of(unit), maps, budget)
    result = _improved(scan, network, card, options, budget)
    return replace(result, images=result.images * unit)


def _improved(
    scan: ComponentScan, network: ComponentNetwork, card: Card, options: TrainedOptions, budget: Budget
) -> Reconstruction:
    """The subspace images and what the network adds to them."""
    if not scan.is_noisy:
        return start_alone(scan, "the data hold no noise: nothing is left for a network")
    end = ComponentEnd.of(scan, options)
    told = ""
    if options.adapt_steps:
        network, told = _adapted(network, scan, options, budget)
    result = end.reconstruction(partial(_change, scan, network), "the trained network", told)
    details = {**result.details, "model": card.version, "validation": card.best}
    return replace(result, details=details, made_by=result.made_by or card.method)


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


def _adapted(
    network: ComponentNetwork, scan: ComponentScan, options: TrainedOptions, budget: Budget
) -> tuple[ComponentNetwork, str]:
    """The network after a few steps on this scan, where they make it better by pairs kept to judge by."""
    pairs = scan.make_pairs(_PAIRS + _JUDGES, options, budget)
    if len(pairs) <= _JUDGES:
        return network, "there was no time to adapt the network"
    adapted = copy.deepcopy(network).requires_grad_(requires_grad=True).train()
    optimiser = adam(adapted.learnable(), options.adapt_rate, scan.kspace.data.device)

    def change(pair: Pair) -> torch.Tensor:
        return _change(scan, adapted, pair.start)

    described = "adaptation", options.adapt_steps
    learned, judges = pairs[:-_JUDGES], pairs[-_JUDGES:]
    report = train_on_pairs(adapted, optimiser, change, learned, judges, described, budget)
    return adapted.eval(), f"adapted to the scan in {report.best_step} steps"


def _change(scan: ComponentScan, network: ComponentNetwork, start: Start) -> torch.Tensor:
    """(component, y, x) what the network makes of a start, where samples reach."""
    std = scan.kspace.noise.std if scan.kspace.noise is not None else 0.0
    changed: torch.Tensor = network(scan.gram, start.components, start.residual, std)
    return scan.within_reach(changed)


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
