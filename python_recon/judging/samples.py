"""The measured samples of a slice as a field sees them, and those of the spokes that are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from python_recon.data import KSpace


@dataclass(frozen=True)
class Samples:
    """Samples of whole spokes, one after the other, on the device."""

    k: torch.Tensor
    """(point, 2), -1..1 along each axis."""
    t: torch.Tensor
    """(point,), 0..1."""
    values: torch.Tensor
    """(point, coil) complex64, in units of the largest magnitude of the scan."""

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
        values = kspace.data.permute(0, 2, 3, 1)[chosen]
        return cls(
            k=(kspace.trajectory[chosen] / half).flatten(0, 1),
            t=torch.as_tensor(t, device=device).repeat_interleave(values.shape[1]),
            values=values.flatten(0, 1) / scale,
        )
