"""Zero-MIRID: two networks learn from the scan itself, one of its images and one of their k-space.

Both see the images and their virtual-coil copies (:mod:`python_recon.networks.dual`); training, data term and
share of the result are those of :mod:`~python_recon.methods.zero_shot`. Cho et al., MICCAI 2023,
arXiv:2308.05103, whose network and schedule are ``zero_mirid_paper``; the small networks in a temporal
subspace are ours. Where samples are held out to train (``options.pairs`` masks), see the note on patents in
:mod:`~python_recon.methods.zs_ssl`.
"""

from __future__ import annotations

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.zero_shot import ZeroShotOptions, zero_shot_need
from python_recon.methods.zero_shot import run as run_zero_shot
from python_recon.networks.dual import DualCnn
from python_recon.resources.memory import Size
from python_recon.resources.schedule import Budget


class ZeroMiridOptions(ZeroShotOptions):
    """Options of ``zero_mirid``."""


def run(kspace: KSpace, maps: CoilMaps, options: ZeroMiridOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best networks it has."""
    return run_zero_shot(kspace, maps, options, budget, _network)


def _network(components: torch.Tensor, options: ZeroShotOptions, generator: torch.Generator) -> DualCnn:
    return DualCnn(components, options.channels, options.layers, generator)


def zero_mirid_need(size: Size, options: ZeroMiridOptions) -> float:
    """Memory of a fit."""
    return zero_shot_need(size, options, 2 * options.layers)


METHOD = Method(run, ZeroMiridOptions, zero_mirid_need)
