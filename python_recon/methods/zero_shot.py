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

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.fitting.descent import FitReport, adam
from python_recon.fitting.keeping import TensorFile
from python_recon.fitting.network_file import TrainedNetwork, begin, keep
from python_recon.fitting.pair_training import train_on_pairs
from python_recon.fitting.pairs import Pair, Start
from python_recon.fitting.shrinking import shrunk, within_memory
from python_recon.fitting.split_pairs import SplitMaker
from python_recon.losses.measured import LossName
from python_recon.methods.bounds import FitSteps, GradientSteps, Seed
from python_recon.methods.component_end import ComponentEnd, start_alone
from python_recon.methods.component_scan import ComponentScan, as_many, unit_of
from python_recon.methods.registry import Reconstruction
from python_recon.methods.subspace import SubspaceOptions
from python_recon.networks.consistency import consistent
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget
from python_recon.solvers.cg import Operator

if TYPE_CHECKING:
    from typing_extensions import Self

_FEWEST_CHANNELS = 8


class ZeroShotOptions(Section):
    """Options of networks that one scan teaches."""

    channels: int = Field(32, ge=4, le=512)
    """Of the inner layers."""
    layers: int = Field(4, ge=2, le=32)
    """3 x 3 layers."""
    unrolls: int = Field(1, ge=1, le=32)
    """How often network and data term follow each other, with the same weights."""
    steps: FitSteps = 200
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
    start_steps: GradientSteps = 6
    """Gradient steps of ``subspace`` for recorrupted data, from the images of the scan."""
    seed: Seed = 0
    """Of the noise or the groups, and of the first weights."""
    checkpoint: TensorFile = ""
    """File (.safetensors) to save the network to; slice, contrast and set complete its name. Empty: none."""
    model: TensorFile = ""
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
    unit = unit_of(kspace)
    scan = ComponentScan.solve(kspace.in_units_of(unit), maps, budget)
    result = _improved(scan, options, budget, make)
    return replace(result, images=result.images * unit)


def _improved(
    scan: ComponentScan, options: ZeroShotOptions, budget: Budget, make: MakeNetwork
) -> Reconstruction:
    """The subspace images and what a network adds to them."""
    if not scan.is_noisy:
        return start_alone(scan, "the data hold no noise: nothing is left for a network")
    began = time.monotonic()
    end = ComponentEnd.of(scan, options)
    learned, judges = _pairs(scan, options, budget)
    if not (learned and judges):
        return start_alone(scan, "the time was up before a network could be trained")
    made_in = time.monotonic() - began
    rest = replace(budget, seconds=budget.seconds - made_in / (len(learned) + len(judges)))
    training = _Training(scan, learned, judges, make)
    (net, report), taken = within_memory(lambda chosen: training.fit(chosen, rest), options)
    told = [shrunk(options, taken), keep(net, options.checkpoint, scan.kspace)]

    def change(start: Start) -> torch.Tensor:
        return _change(scan, net, start, scan.gram, taken)

    result = end.reconstruction(change, "a network", "; ".join(filter(None, told)))
    return replace(result, details={**asdict(report), **result.details}, state=TrainedNetwork.of(net))


def _pairs(scan: ComponentScan, options: ZeroShotOptions, budget: Budget) -> tuple[list[Pair], list[Pair]]:
    """To train on and to judge by; fewer where the time is up."""
    if options.pairs == "masks":
        splits = SplitMaker(scan.solved, options.draws, options.judges, options.loss, options.seed)
        makers = [partial(splits.judge, scan.solve_part)]
        makers += [partial(splits.pair, number, scan.solve_part) for number in range(options.draws)]
        pairs = as_many(makers, budget)
        return pairs[1:], pairs[:1]
    pairs = scan.make_pairs(options.draws + options.judges, options, budget, options.loss)
    n_judges = min(options.judges, len(pairs) // 2)
    return pairs[: len(pairs) - n_judges], pairs[len(pairs) - n_judges :]


def _change(
    scan: ComponentScan, net: nn.Module, start: Start, gram: Operator, options: ZeroShotOptions
) -> torch.Tensor:
    """(component, y, x) what the network and the data behind it make of a start, where samples reach."""
    change = torch.zeros_like(start.components)
    for _ in range(options.unrolls):
        proposed = change + net(start.components + change)
        change = consistent(gram, proposed, start.residual, options.mu, options.data_steps)
    return scan.within_reach(change)


@dataclass(frozen=True)
class _Training:
    """Of a network, on pairs of a scan."""

    scan: ComponentScan
    learned: list[Pair]
    judges: list[Pair]
    make: MakeNetwork

    def fit(self, options: ZeroShotOptions, budget: Budget) -> tuple[nn.Module, FitReport]:
        """A network as good as the judges found any."""
        components = self.scan.solution.components
        net = self.make(components.cpu(), options, torch.Generator().manual_seed(options.seed))
        net = begin(net.to(components.device), options.model, budget.start)
        optimiser = adam(net.parameters(), options.learning_rate, components.device)

        def change(pair: Pair) -> torch.Tensor:
            return _change(self.scan, net, pair.start, pair.gram, options)

        described = "network", options.steps
        return net, train_on_pairs(net, optimiser, change, self.learned, self.judges, described, budget)


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
