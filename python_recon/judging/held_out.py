"""Held-out spokes: which they are, and an error that needs no truth."""

from __future__ import annotations

import numpy as np

from python_recon.acquisition.encoding import encoding_of
from python_recon.acquisition.spokes import every_kth_spoke, own_spokes
from python_recon.data import CoilMaps, KSpace

FEWEST_SPOKES = 20
"""Below so many spokes none is held out: the fit needs them all."""


def split_spokes(kspace: KSpace, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Spokes to fit and spokes to judge by, each (frame, spoke) bool; none to judge by where they are few."""
    kept = own_spokes(kspace)
    if share == 0 or kept.sum() < FEWEST_SPOKES:
        return kept, np.zeros_like(kept)
    held = every_kth_spoke(kspace.to_numpy(), max(2, round(1 / share))) & kept
    return kept & ~held, held


def prediction_error(images: np.ndarray, maps: CoilMaps, held_out: KSpace) -> float:
    """How badly images predict spokes that they were not made from; 0 is best, 1 is what no image gives.

    The relative L2 error of all coils' samples, each weighted by the area of k-space it stands for (of
    a spoke its radius), or the few samples at the centre would decide alone. The images may be off by one
    complex factor for the series, which is fitted. Noise sets a floor that is the same for all methods.

    Parameters
    ----------
    images
        (frame, y, x) complex, in the frames of ``held_out``.
    maps
        The maps that the images were made with.
    held_out
        k-space in the same coils as the maps.
    """
    import torch

    from python_recon.operators.nufft import Nufft

    trajectory = np.asarray(held_out.trajectory, dtype=np.float32)
    coil_images = (images[:, None] * np.asarray(maps.maps)).astype(np.complex64)
    predicted = Nufft(trajectory, held_out.matrix).forward(coil_images)
    importance = encoding_of(held_out).importance(torch.from_numpy(trajectory))
    weight = (importance.numpy() * own_spokes(held_out)[..., None])[:, None]
    measured = np.asarray(held_out.data)
    energy = (weight * np.abs(predicted) ** 2).sum(dtype=np.float64)
    factor = (weight * predicted.conj() * measured).sum(dtype=np.complex128) / energy if energy else 0.0
    error = (weight * np.abs(measured - factor * predicted) ** 2).sum(dtype=np.float64)
    return float(np.sqrt(error / (weight * np.abs(measured) ** 2).sum(dtype=np.float64)))
