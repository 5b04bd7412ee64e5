"""Which cells of the grid were measured, and how often.

A sample that is zero in all coils was not measured: partial echoes are filled up with such, and so are points
that a mask left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from python_recon.arrays import Array, like, to_numpy
from python_recon.data import KSpace

if TYPE_CHECKING:
    import torch


def counted_density(kspace: KSpace) -> Array:
    """(frame, spoke, readout) 1 for every cell of a frame, shared by the samples that repeat it.

    Samples that are borrowed from other frames count only where the frame has none of its own.
    """
    cells, n_cells = _cells(kspace.trajectory, kspace.matrix)
    is_there = is_measured(kspace)
    is_shared = np.zeros_like(is_there)
    if kspace.is_shared is not None:
        is_shared |= to_numpy(kspace.is_shared)[..., None]
    density = np.zeros(cells.shape, np.float32)
    for frame, places, there, shared in zip(density, cells, is_there, is_shared, strict=True):
        own = _counts(places, there & ~shared, n_cells)[places]
        borrowed = _counts(places, there & shared, n_cells)[places]
        repeats = np.where(shared, np.where(own > 0, np.inf, borrowed), own)
        frame[there] = 1 / repeats[there]
    return like(density, kspace.trajectory)


def is_measured(kspace: KSpace) -> np.ndarray:
    """(frame, spoke, readout) bool."""
    mask = True if kspace.spoke_mask is None else to_numpy(kspace.spoke_mask)[..., None]
    return np.asarray(to_numpy(kspace.data).any(1) & mask)


def pooled_density(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """(frame, spoke, readout) 1 for every cell, shared by the samples of all frames that lie in it."""
    return _shared(kspace.trajectory, density > 0, kspace.matrix)


def full_width(kspace: KSpace, chosen: torch.Tensor) -> float:
    """Diameter of the largest disc, in cycles per field of view, whose cells were all measured.

    Parameters
    ----------
    chosen
        Indices, counted through all frames, of the readouts that count.
    """
    kept = to_numpy(chosen)
    is_there = is_measured(kspace).reshape(-1, kspace.n_samples)[kept]
    places = np.rint(to_numpy(kspace.trajectory)).reshape(-1, kspace.n_samples, 2)[kept][is_there]
    half = min(kspace.matrix) // 2
    is_full = np.zeros((2 * half + 1, 2 * half + 1), bool)
    inside = (np.abs(places) <= half).all(-1)
    x, y = places[inside].astype(int).T + half
    is_full[y, x] = True
    axis = np.arange(-half, half + 1)
    gaps = np.hypot(axis[:, None], axis)[~is_full]
    # Up to the innermost gap; without any, as wide as the grid.
    return float(min(2 * max(gaps.min(initial=np.inf) - 1, 0), 2 * half))


def areas_in_disc(spokes: torch.Tensor, samples: torch.Tensor, width: int) -> torch.Tensor:
    """(spoke, readout) 1 for every cell within a diameter, shared by the samples that repeat it."""
    import torch

    is_there = (samples != 0).any(0) & (torch.linalg.vector_norm(spokes, dim=-1) <= width / 2)
    return _shared(spokes, is_there, (2 * width, 2 * width))


def _counts(cells: np.ndarray, is_there: np.ndarray, n_cells: int) -> np.ndarray:
    return np.bincount(cells[is_there], minlength=n_cells)


def _cells(trajectory: Array, matrix: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Number of the cell of each sample, and of all cells."""
    x, y = np.moveaxis(np.rint(to_numpy(trajectory)).astype(np.int64), -1, 0)
    return (y % matrix[0]) * matrix[1] + x % matrix[1], matrix[0] * matrix[1]


def _shared(trajectory: torch.Tensor, is_there: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """(..., readout) 1 for every cell, shared by the samples (..., readout) there that lie in it; else 0."""
    import torch

    x, y = trajectory.round().long().unbind(-1)
    cells = (y % matrix[0]) * matrix[1] + x % matrix[1]
    counts = torch.zeros(matrix[0] * matrix[1], device=trajectory.device)
    counts.index_add_(0, cells.flatten(), is_there.flatten().to(counts.dtype))
    return torch.where(is_there, 1 / counts.clamp_min(1)[cells], 0)
