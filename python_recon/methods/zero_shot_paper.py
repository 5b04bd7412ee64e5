"""ZS-SSL and Zero-MIRID in their published forms: networks, splits, losses and schedules.

Yaman et al., arXiv:2102.07737 (``zs_ssl_paper``); Cho et al., arXiv:2308.05103 (``zero_mirid_paper``). A part
(1 of 5) of the samples, once and for all, is the validation set; the others are split again and again into
those that the unrolled network reconstructs from and those (2 of 5) that it is to predict. Every frame is an
image of its own. The fit ends where the validation set was predicted no better for a while; then the best
network reconstructs from all samples.

Departures: data consistency is differentiated implicitly; Zero-MIRID's L2 term is relative to the norm of the
samples, where the published one divides by its root and so depends on their unit; its normalisation takes the
statistics of the images themselves. Samples are dealt into 25 groups, of which the splits are made, so that
normal operators are sums. Where the validation set finds the network no better than SENSE, the images are
those of SENSE and bear its name.

The authors of ZS-SSL state that the method is covered by US patent application 17/075,411, with rights for
non-profit and government research; users must check their own case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.fitting.descent import Descent, FitReport, adam, constant, descend, numbered
from python_recon.fitting.keeping import TensorFile
from python_recon.fitting.network_file import TrainedNetwork, begin, keep
from python_recon.fitting.shrinking import shrunk, within_memory
from python_recon.fitting.splits import GroupedSlice
from python_recon.judging.margin import is_clearly_less
from python_recon.judging.shares import WHOLE, Shares
from python_recon.losses.measured import LossName, MeasuredLoss
from python_recon.methods.bounds import Seed
from python_recon.methods.registry import Method, Reconstruction
from python_recon.networks.data_consistency import agreed
from python_recon.networks.unrolled import Unrolled, UnrolledMirid, UnrolledResNet
from python_recon.operators.linear import apply_linear
from python_recon.operators.toeplitz import SenseGram
from python_recon.resources.memory import Size, series_need
from python_recon.resources.schedule import Budget

if TYPE_CHECKING:
    from typing_extensions import Self

_GROUPS = 25
_VALIDATION_GROUPS = 5
_LOSS_GROUPS = 8
_SENSE_MU = 0.05
"""Regularisation of the SENSE images that a network has to be better than, as ``cg_sense`` has it."""
_UNUSED = "the validation set finds the network no better than SENSE: these are the images of SENSE"


class PaperOptions(Section):
    """What both published forms share."""

    unrolls: int = Field(10, ge=1, le=64)
    """How often network and data consistency follow each other, with the same weights."""
    iterations: int = Field(10, ge=1, le=100)
    """Of conjugate gradients."""
    splits: int = Field(25, ge=1, le=1000)
    """Pairs of samples to see and samples to predict; an epoch takes each once."""
    epochs: int = Field(300, ge=1, le=100_000)
    """At most."""
    patience: int = Field(25, ge=1, le=100_000)
    """Epochs without a better validation loss, after which the fit ends."""
    learning_rate: float = Field(5e-4, gt=0, le=1)
    """Of Adam."""
    loss: LossName = "usual"
    """What is minimised (see python_recon.losses.measured)."""
    seed: Seed = 0
    """Of the splits and of the first weights."""
    checkpoint: TensorFile = ""
    """File (.safetensors) to save the network to; slice, contrast and set complete its name. Empty: none."""
    model: TensorFile = ""
    """Such a file to begin with, of this scan or of another. Empty: none."""

    def smaller(self) -> Self | None:
        """With fewer unrolls."""
        if self.unrolls == 1:
            return None
        return self.model_copy(update={"unrolls": self.unrolls // 2})


class ZsSslPaperOptions(PaperOptions):
    """Options of ``zs_ssl_paper``."""

    channels: int = Field(64, ge=4, le=512)
    """Of the ResNet."""
    blocks: int = Field(15, ge=1, le=100)
    """Of the ResNet."""


class ZeroMiridPaperOptions(PaperOptions):
    """Options of ``zero_mirid_paper``."""

    splits: int = Field(50, ge=1, le=1000)
    """Pairs of samples to see and samples to predict; an epoch takes each once."""
    epochs: int = Field(50, ge=1, le=100_000)
    """At most."""
    patience: int = Field(10, ge=1, le=100_000)
    """Epochs without a better validation loss, after which the fit ends."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Of Adam."""
    weight_decay: float = Field(1e-3, ge=0, le=1)
    """Of Adam."""
    channels: int = Field(46, ge=4, le=512)
    """Of each denoiser."""
    layers: int = Field(16, ge=1, le=100)
    """Of each denoiser."""


@dataclass(frozen=True)
class _Form:
    """What tells the two apart."""

    make: Callable[[torch.Generator], Unrolled]
    weight_decay: float
    predicts_all: bool
    """Whether the loss counts the samples that were seen, too."""


_FormOf: TypeAlias = Callable[[Any], _Form]


@dataclass(frozen=True)
class _Split:
    """Samples to see, and what is to be predicted."""

    gram: SenseGram
    right_side: torch.Tensor
    loss: MeasuredLoss

    @classmethod
    def of(
        cls, grouped: GroupedSlice, unseen: list[int], name: LossName, lost: list[int], *, is_all: bool
    ) -> _Split:
        """Without some groups; the loss counts others, or all but these."""
        loss = grouped.loss_without(name, lost) if is_all else grouped.loss(name, lost)
        return cls(*grouped.without(unseen), loss)


def run(
    kspace: KSpace, maps: CoilMaps, options: PaperOptions, budget: Budget, form_of: _FormOf
) -> Reconstruction:
    """Images of every frame; stops at the deadline with the best network it has."""
    scale = float(kspace.data.abs().amax())
    if not 0 < scale < float("inf"):
        raise DataError("the samples are all zero or not finite: there is nothing to learn from")
    scaled = kspace.in_units_of(scale)
    grouped = GroupedSlice(scaled, maps, _GROUPS, options.seed)
    (net, report, errors), taken = within_memory(
        lambda chosen: _fit(grouped, chosen, budget, form_of(chosen)), options
    )
    is_better = is_clearly_less(min(report.held_out), errors)
    with torch.no_grad():
        gram, right_side = grouped.without([])
        images = net(gram, right_side) if is_better else _sense(gram, right_side)
    told = ["" if is_better else _UNUSED, shrunk(options, taken), keep(net, options.checkpoint, kspace)]
    return Reconstruction(
        scale * images,
        {**asdict(report), "shares": (float(is_better),)},
        state=TrainedNetwork.of(net),
        comment="; ".join(filter(None, told)),
        made_by="" if is_better else "cg_sense",
    )


def _sense(gram: SenseGram, right_side: torch.Tensor) -> torch.Tensor:
    mu = torch.tensor(_SENSE_MU, device=right_side.device)
    return agreed(gram, right_side, torch.zeros_like(right_side), mu, 10)


def _fit(
    grouped: GroupedSlice, options: PaperOptions, budget: Budget, form: _Form
) -> tuple[Unrolled, FitReport, float]:
    """The network, its report, and the validation loss of SENSE."""
    judging = list(range(_VALIDATION_GROUPS))
    validation = _Split.of(grouped, judging, options.loss, judging, is_all=False)
    device = validation.right_side.device
    net = form.make(torch.Generator().manual_seed(options.seed)).to(device)
    begin(net, options.model, budget.start)
    optimiser = adam(net.parameters(), options.learning_rate, device, weight_decay=form.weight_decay)
    split = partial(_split, grouped, options, judging, form)

    def error(chosen: _Split) -> torch.Tensor:
        return _error(grouped, net(chosen.gram, chosen.right_side), chosen)

    def wrong(number: int) -> torch.Tensor:
        return error(split(number % options.splits))

    @torch.no_grad()
    def judge() -> tuple[float, Shares]:
        return float(error(validation)), WHOLE

    steps = options.epochs * options.splits
    descent = Descent("network", steps, constant, options.patience, looks=options.epochs)
    report = descend(net, optimiser, numbered(optimiser, wrong), descent, budget, judge)
    with torch.no_grad():
        sense = _sense(validation.gram, validation.right_side)
        return net, report, float(_error(grouped, sense, validation))


def _split(
    grouped: GroupedSlice, options: PaperOptions, judging: list[int], form: _Form, number: int
) -> _Split:
    """The one of that number: what is to be predicted is drawn anew for each."""
    generator = np.random.default_rng([options.seed, number])
    free = np.arange(len(judging), _GROUPS)
    predicted = generator.choice(free, _LOSS_GROUPS, replace=False).tolist()
    lost = judging if form.predicts_all else predicted
    return _Split.of(grouped, judging + predicted, options.loss, lost, is_all=form.predicts_all)


def _error(grouped: GroupedSlice, images: torch.Tensor, split: _Split) -> torch.Tensor:
    return split.loss(apply_linear(images, grouped.sense.forward, grouped.sense.adjoint))


def _resnet(options: ZsSslPaperOptions) -> _Form:
    make = partial(
        UnrolledResNet,
        unrolls=options.unrolls,
        iterations=options.iterations,
        width=options.channels,
        blocks=options.blocks,
    )
    return _Form(make, 0.0, predicts_all=False)


def _mirid(options: ZeroMiridPaperOptions) -> _Form:
    make = partial(
        UnrolledMirid,
        unrolls=options.unrolls,
        iterations=options.iterations,
        width=options.channels,
        layers=options.layers,
    )
    return _Form(make, options.weight_decay, predicts_all=True)


def _need(size: Size, unrolls: int, channels: float) -> float:
    """Memory: a series, kernels of every group, and what the layers of all unrolls keep for the gradient."""
    kept = 4.0 * size.n_frames * size.matrix[0] * size.matrix[1] * channels * unrolls
    groups = (_GROUPS + 3) * 3 * size.images
    return series_need(size) + groups + 8 * size.samples + kept


def _resnet_need(size: Size, options: ZsSslPaperOptions) -> float:
    return _need(size, options.unrolls, options.channels * (4 * options.blocks + 4))


def _mirid_need(size: Size, options: ZeroMiridPaperOptions) -> float:
    return _need(size, options.unrolls, 2 * options.channels * 3.5 * options.layers)


ZS_SSL = Method(partial(run, form_of=_resnet), ZsSslPaperOptions, _resnet_need)
ZERO_MIRID = Method(partial(run, form_of=_mirid), ZeroMiridPaperOptions, _mirid_need)
