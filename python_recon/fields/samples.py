"""The measured samples of a slice as a field sees them, and those of the spokes that are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from python_recon.data import KSpace
from python_recon.fields.time_axis import TimeAxis
from python_recon.held_out import every_kth_spoke, own_spokes

FEWEST_SPOKES = 20
"""Below so many spokes none is held out: the fit needs them all."""


@dataclass(frozen=True)
class Samples:
    """Samples of whole spokes, one after the other, on the device."""

    k: torch.Tensor
    """(point, 2), -1..1 along each axis."""
    t: torch.Tensor
    """(point,), 0..1."""
    values: torch.Tensor
    """(point, coil) complex64, in units of ``scale``."""
    scale: float
    """The largest magnitude of the scan."""

    @property
    def n_points(self) -> int:
        return len(self.k)

    @classmethod
    def of_spokes(cls, kspace: KSpace, spokes: np.ndarray, axis: TimeAxis, scale: float) -> Samples:
        """The samples of some spokes.

        Parameters
        ----------
        kspace
            Prepared, Torch tensors.
        spokes
            (frame, spoke) bool.
        axis
            Time coordinate.
        scale
            Unit of the values.
        """
        device = kspace.data.device
        chosen = torch.as_tensor(spokes, device=device)
        half = torch.tensor([kspace.matrix[1] / 2, kspace.matrix[0] / 2], device=device)
        values = kspace.data.permute(0, 2, 3, 1)[chosen]
        t = torch.as_tensor(axis.of(spoke_times(kspace)[spokes]), device=device)
        return cls(
            k=(kspace.trajectory[chosen] / half).flatten(0, 1),
            t=t.repeat_interleave(values.shape[1]),
            values=values.flatten(0, 1) / scale,
            scale=scale,
        )


def has_clock(kspace: KSpace) -> bool:
    """Whether the spokes have time stamps that tell them apart."""
    times = kspace.spoke_times_s
    if times is None:
        return False
    own = times[own_spokes(kspace)]
    return bool(own.size) and np.ptp(own) > 0


def spoke_times(kspace: KSpace) -> np.ndarray:
    """Time of every spoke (frame, spoke) in s; the numbers of the frames where there are no stamps."""
    own = own_spokes(kspace)
    if kspace.spoke_times_s is None or not has_clock(kspace):
        return np.broadcast_to(np.arange(len(own), dtype=np.float64)[:, None], own.shape)
    return kspace.spoke_times_s


def frame_times(kspace: KSpace) -> np.ndarray:
    """Mean time of every frame (frame,), on the clock of :func:`spoke_times`."""
    return frame_means(kspace, spoke_times(kspace))


def frame_means(kspace: KSpace, values: np.ndarray) -> np.ndarray:
    """Mean of values (frame, spoke) over the own spokes of every frame (frame,).

    A frame without spokes of its own lies between its neighbours.
    """
    own = own_spokes(kspace)
    counts = own.sum(axis=1)
    means = (values * own).sum(axis=1) / np.maximum(counts, 1)
    known = np.flatnonzero(counts)
    filled: np.ndarray = np.interp(np.arange(len(own)), known, means[known])
    return filled


def split_spokes(kspace: KSpace, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Spokes to fit and spokes to judge by, each (frame, spoke) bool; none to judge by where they are few."""
    kept = own_spokes(kspace)
    if share == 0 or kept.sum() < FEWEST_SPOKES:
        return kept, np.zeros_like(kept)
    held = every_kth_spoke(kspace.to_numpy(), max(2, round(1 / share))) & kept
    return kept & ~held, held
