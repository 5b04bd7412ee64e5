"""Gridding: density-compensated adjoint NUFFT, combined with the coil maps.

Frame by frame, direct, without regularisation: the preview and the last rung of the ladder.
Jackson et al., doi:10.1109/42.97598; combination: Roemer et al., doi:10.1002/mrm.1910160203.
"""

from __future__ import annotations

import torch

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.sense import Sense, density_of
from python_recon.resources.memory import direct_need
from python_recon.resources.schedule import Budget


class GriddingOptions(Section):
    """Gridding has nothing to set."""


def run(kspace: KSpace, maps: CoilMaps, _options: GriddingOptions, _budget: Budget) -> Reconstruction:
    """Images of every frame; what is left out of k-space stays out."""
    return Reconstruction(_images(kspace, maps), again=_images)


def _images(kspace: KSpace, maps: CoilMaps) -> torch.Tensor:
    return Sense(kspace, maps).adjoint(kspace.data * density_of(kspace)[:, None])


METHOD = Method(run, GriddingOptions, direct_need)
