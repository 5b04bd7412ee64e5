"""The measured samples of a slice as a field sees them, and those of the spokes that are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from python_recon.acquisition.encoding import encoding_of
from python_recon.data import KSpace


@dataclass(frozen=True)
class Samples:
    """Samples of whole spokes, one after the other, on the device; without those that were not measured."""

    k: torch.Tensor
    """(point, 2), -1..1 along each axis."""
    t: torch.Tensor
    """(point,), 0..1."""
    values: torch.Tensor
    """(point, coil) complex64, in units of the largest magnitude of the scan."""
    importance: torch.Tensor
    """(point,) area of k-space that each stands for, but for a factor."""

    @property
    def n_points(self) -> int:
        return len(self.k)

    @classmethod
    def of_spokes(cls, kspace: KSpace, spokes: np.ndarray, t: np.ndarray, scale: float) -> Samples:
        """The samples of some spokes.

        Parameters
        ----------
        kspace
            Prepared, Torch tensors.
        spokes
            (frame, spoke) bool.
        t
            (spoke,) time coordinates of these spokes.
        scale
            Unit of the values.
        """
        device = kspace.data.device
        chosen = torch.as_tensor(spokes, device=device)
        half = torch.tensor([kspace.matrix[1] / 2, kspace.matrix[0] / 2], device=device)
        places, values = kspace.trajectory[chosen] / half, kspace.data.permute(0, 2, 3, 1)[chosen]
        is_there = torch.ones(places.shape[:-1], dtype=torch.bool, device=device)
        if kspace.density is not None:
            is_there = kspace.density[chosen] > 0
        return cls(
            k=places[is_there],
            t=torch.as_tensor(t, device=device).repeat_interleave(is_there.sum(1)),
            values=values[is_there] / scale,
            importance=encoding_of(kspace).importance(places)[is_there],
        )
