"""VICReg: features of two views that agree, vary from thing to thing, and do not repeat each other.

``25 |a - b|^2 + 25 (v(a) + v(b)) / 2 + (c(a) + c(b))``: the mean squared difference; v the mean over the
features of ``max(0, 1 - standard deviation over the things)``; c the sum of the squared covariances of
different features, divided by their number (Bardes et al., arXiv:2105.04906). The code published with
SSFL-Recon takes the deviation over the features instead, which does not keep things apart.
"""

from __future__ import annotations

import torch

from python_recon.losses.contrastive import check_views

_EPSILON = 1e-4
"""Under the root of a variance, whose slope would be infinite at 0."""


def vicreg(
    one: torch.Tensor,
    other: torch.Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> torch.Tensor:
    """The loss of vectors (thing, feature), of which those of the same row belong together.

    Raises
    ------
    ShapeError
        If the two differ in shape, or there are fewer than two things: nothing would vary.
    """
    check_views(one, other)
    spread = (_too_alike(one) + _too_alike(other)) / 2
    repeated = _repeated(one) + _repeated(other)
    return invariance * (one - other).square().mean() + variance * spread + covariance * repeated


def _too_alike(vectors: torch.Tensor) -> torch.Tensor:
    deviation = (vectors.var(0) + _EPSILON).sqrt()
    return (1 - deviation).relu().mean()


def _repeated(vectors: torch.Tensor) -> torch.Tensor:
    centred = vectors - vectors.mean(0)
    covariances = centred.T @ centred / (len(vectors) - 1)
    different = covariances - covariances.diagonal().diag()
    return different.square().sum() / vectors.shape[1]
