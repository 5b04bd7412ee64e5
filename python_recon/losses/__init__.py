"""Losses of k-space that fits minimise, usable in any training loop.

They need PyTorch alone. Coordinates in k-space are (..., 2), kx before ky, from -1 to 1, as in the papers;
values are complex, coils last.

====== ====================================================== ==============================================
hdr    data term that heeds the outer k-space                 arXiv:2212.08479
Pisco  the same linear relation between neighbours everywhere doi:10.1016/j.media.2025.103890
Tiles  where to ask for it with few evaluations of the field  here
Iconik calibrated correction of a field by its neighbours     arXiv:2308.08830
====== ====================================================== ==============================================

Losses of samples on which networks are trained are named in :mod:`~python_recon.losses.measured`: usual,
logarithmic, combined, mu-law, HDR-weighted, density-weighted. Of features there are the ``contrastive`` loss
(arXiv:2002.05709) and ``vicreg`` (arXiv:2105.04906), on vectors (thing, feature) of two views.
"""

from __future__ import annotations

from python_recon.losses.contrastive import contrastive, recall
from python_recon.losses.hdr import hdr, hdr_weights
from python_recon.losses.iconik import Iconik, innermost
from python_recon.losses.kernels import GEOMETRIES, Kernel, kernels_of
from python_recon.losses.measured import (
    Combined,
    Density,
    Hdr,
    Logarithmic,
    MuLaw,
    Usual,
    measured_loss,
)
from python_recon.losses.pisco import Pisco, predict
from python_recon.losses.tiles import Tiles, slice_patches, tile_size
from python_recon.losses.vicreg import vicreg

__all__ = [
    "GEOMETRIES",
    "Combined",
    "Density",
    "Hdr",
    "Iconik",
    "Kernel",
    "Logarithmic",
    "MuLaw",
    "Pisco",
    "Tiles",
    "Usual",
    "contrastive",
    "hdr",
    "hdr_weights",
    "innermost",
    "kernels_of",
    "measured_loss",
    "predict",
    "recall",
    "slice_patches",
    "tile_size",
    "vicreg",
]
