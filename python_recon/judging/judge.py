"""Held-out spokes as the judge of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from python_recon.judging.margin import is_clearly_less
from python_recon.judging.samples import Samples
from python_recon.judging.shares import Shares, best_shares

Signal = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Places k (point, 2) and t (point,) to a signal ([component,] point, coil): that of a field, say."""

_CHUNK = 16_384
"""Points evaluated together."""


class Judge:
    """The relative error of held-out samples, each weighted by its radius (the area it stands for).

    With a start, the field's prediction is scaled by the share that fits the held-out samples best, between
    0 and 1, and where it comes component by component, each by its own: what does not predict them better
    than the start has a share of 0.

    Parameters
    ----------
    samples
        Of the held-out spokes.
    offset
        The start's signal there (point, coil); None: there is no start.
    """

    def __init__(self, samples: Samples, offset: torch.Tensor | None = None) -> None:
        self._samples, self._offset = samples, offset
        chunks = torch.split(samples.k, _CHUNK), torch.split(samples.t, _CHUNK)
        self.places = tuple(zip(*chunks, strict=True))
        """k and t for which the field is asked, always the same tensors: plans for them can be kept."""
        self._weights = torch.linalg.vector_norm(samples.k, dim=-1)[:, None]

    def __call__(self, field: Signal) -> tuple[float, Shares]:
        """Error, and shares of the field."""
        measured = self._samples.values
        parts = torch.cat(list(self._predict(field)), -2).reshape(-1, *measured.shape)
        if self._offset is None:
            shares, missing = torch.ones(1), measured - parts.sum(0)
        else:
            unexplained = measured - self._offset
            shares = best_shares(parts, unexplained, self._weights)
            missing = unexplained - torch.einsum("a,apc->pc", shares.to(parts), parts)
            error, alone = self._error(missing), self._error(unexplained)
            if math.isfinite(error) and not is_clearly_less(error, alone):
                return alone, (0.0,) * len(parts)
        return self._error(missing), tuple(shares.tolist())

    def _error(self, missing: torch.Tensor) -> float:
        """Of what is not predicted (point, coil), relative to what was measured."""
        return float((self._energy(missing) / self._energy(self._samples.values)).sqrt())

    def _energy(self, values: torch.Tensor) -> torch.Tensor:
        return (self._weights * values.abs().square()).sum(dtype=torch.float64)

    @torch.no_grad()
    def _predict(self, field: Signal) -> Iterator[torch.Tensor]:
        for k, t in self.places:
            yield field(k, t)
