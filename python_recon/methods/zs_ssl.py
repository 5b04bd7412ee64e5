"""Zero-shot self-supervision: a small network learns from the scan itself what its subspace images lack.

The network is convolutional and reads the component images together; training, data term and share of the
result are those of :mod:`~python_recon.methods.zero_shot`.

Zero-shot unrolled networks: Yaman et al., arXiv:2102.07737, who split the samples (``options.pairs`` masks;
their network and schedule are ``zs_ssl_paper``). Recorrupted pairs: :mod:`python_recon.fitting.recorrupted`.
The form, one network in a temporal subspace, is ours. The authors state that their method is covered by US
patent application 17/075,411, with rights for non-profit and government research; users must check their own
case.
"""

from __future__ import annotations

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.methods.registry import Method, Reconstruction
from python_recon.methods.zero_shot import ZeroShotOptions, zero_shot_need
from python_recon.methods.zero_shot import run as run_zero_shot
from python_recon.networks.residual import ResidualCnn
from python_recon.resources.memory import Size
from python_recon.resources.schedule import Budget


class ZsSslOptions(ZeroShotOptions):
    """Options of ``zs_ssl``."""


def run(kspace: KSpace, maps: CoilMaps, options: ZsSslOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with the best network it has."""
    return run_zero_shot(kspace, maps, options, budget, _network)


def _network(components: torch.Tensor, options: ZeroShotOptions, generator: torch.Generator) -> ResidualCnn:
    return ResidualCnn(components.abs().amax((-2, -1)), options.channels, options.layers, generator)


def zs_ssl_need(size: Size, options: ZsSslOptions) -> float:
    """Memory of a fit."""
    return zero_shot_need(size, options, options.layers)


METHOD = Method(run, ZsSslOptions, zs_ssl_need)
