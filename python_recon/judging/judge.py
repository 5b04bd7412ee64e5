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

_SPREAD = 0.5
"""How much differences between spokes count beside noise: with a margin of 4, a gain of twice its spread is
believed. Where 3 spokes gained 9 times what noise may do, but 1.3 times their spread, images were worse by
.7 dB; where a gain was real, it was 2.4 to 5 times the spread."""
_CHUNK = 16_384
"""Points evaluated together."""


class Judge:
    """The relative error of held-out samples, each weighted by the area of k-space that it stands for.

    With a start, the field's prediction is scaled by the share that fits the held-out samples best, between
    0 and 1, and where it comes component by component, each by its own: what does not predict them better
    than the start, clearly more than by chance, has a share of 0.

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
        self._weights = samples.importance[:, None]

    def __call__(self, field: Signal) -> tuple[float, Shares]:
        """Error, and shares of the field."""
        measured = self._samples.values
        parts = torch.cat(list(self._predict(field)), -2).reshape(-1, *measured.shape)
        if self._offset is None:
            shares, missing = torch.ones(1), measured - parts.sum(0)
        else:
            unexplained = measured - self._offset
            shares = best_shares(parts, unexplained, self._weights)
            change = torch.einsum("a,apc->pc", shares.to(parts), parts)
            missing = unexplained - change
            if self._is_chance(unexplained, missing, change):
                shares, missing = torch.zeros_like(shares), unexplained
        error = (self._sum(missing.abs().square()) / self._sum(measured.abs().square())).sqrt()
        return float(error), tuple(shares.tolist())

    def _is_chance(self, before: torch.Tensor, after: torch.Tensor, change: torch.Tensor) -> bool:
        """Whether errors are finite, and have fallen by no more than noise or the choice of spokes lets them.

        A change that has nothing to do with noise of the size of the errors alters their sum of squares by
        ``2 Re noise* change``, whose standard deviation is taken. Few spokes see few moments and angles: what
        they gain must not hang on one of them.
        """
        error, than = (float(self._sum(errors.abs().square())) for errors in (after, before))
        by_noise = 2**0.5 * float((self._weights * after.abs() * change.abs()).norm())
        by_spokes = _SPREAD * self._spread(before.abs().square() - after.abs().square())
        return math.isfinite(error) and not is_clearly_less(error, than, max(by_noise, by_spokes))

    def _spread(self, gains: torch.Tensor) -> float:
        """Standard deviation of a sum over spokes, by the differences between them; unlimited for one."""
        _, spokes = torch.unique_consecutive(self._samples.t, return_inverse=True)
        sums = gains.new_zeros(int(spokes.max()) + 1, dtype=torch.float64)
        sums.index_add_(0, spokes, (self._weights * gains).sum(1, dtype=torch.float64))
        return float(sums.std()) * len(sums) ** 0.5 if len(sums) > 1 else math.inf

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        """In float64: of two sums that are nearly the same the difference is wanted."""
        return (self._weights * values).sum(dtype=torch.float64)

    @torch.no_grad()
    def _predict(self, field: Signal) -> Iterator[torch.Tensor]:
        for k, t in self.places:
            yield field(k, t)
