"""Temporal functions that know the breath, so that its states can be rendered apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from python_recon.fields.time_axis import SplineBasis

ORDER = 2
"""Of the polynomials of the breath."""


class BreathingBasis(nn.Module):
    """``V(t, r) = h(r) C + g(t)``: a temporal basis, split by what follows the breath.

    r is the position of the breath, 0..1, at the frames; ``h(r) = (2 r - 1)^l``, l = 0..ORDER, and C the
    least squares fit of the basis at the frames by them. What they do not explain, g, is a spline through the
    frames. With the breath that was measured this is the basis; with r held, the scan goes on as if its
    subject held the breath there. What depends on both in a way that is no sum, such as a beat that differs
    between the states, stays with time.

    Parameters
    ----------
    basis
        (frame, component), real.
    times
        (frame,) rising, coordinates of the frames.
    positions
        (frame,) of the breath, 0..1.
    """

    loadings: torch.Tensor

    def __init__(self, basis: np.ndarray, times: np.ndarray, positions: np.ndarray) -> None:
        super().__init__()
        followed = (2 * positions[:, None].astype(np.float64) - 1) ** np.arange(ORDER + 1)
        loadings = np.linalg.lstsq(followed, basis.astype(np.float64), rcond=1e-6)[0]
        self.of_time = SplineBasis(basis - followed @ loadings, times)
        self.breath = SplineBasis(positions[:, None], times)
        self.n_functions = basis.shape[1]
        self.held: float | None = None
        """Position at which the breath is held; None: as it was measured."""
        self.register_buffer("loadings", torch.as_tensor(loadings, dtype=torch.float32))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """(...,) -> (..., component)."""
        positions = self.breath(t)[..., 0].clamp(0, 1) if self.held is None else torch.full_like(t, self.held)
        # Not a matrix product: autocast would round it.
        followed = (_powers(positions)[..., None] * self.loadings).sum(-2)
        result: torch.Tensor = followed + self.of_time(t)
        return result


TemporalBasis = SplineBasis | BreathingBasis


def _powers(positions: torch.Tensor) -> torch.Tensor:
    """(...,) -> (..., 1 + ORDER)."""
    orders = torch.arange(ORDER + 1, device=positions.device)
    return (2 * positions[..., None] - 1) ** orders
