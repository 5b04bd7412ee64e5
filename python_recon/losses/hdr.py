"""High-dynamic-range loss: squared errors relative to the magnitude that the field predicts.

k-space spans four orders of magnitude, so that plain squared errors see its centre only.
Huang et al., arXiv:2212.08479.
"""

from __future__ import annotations

import torch

from python_recon.errors import ConfigError, ShapeError


def hdr_weights(prediction: torch.Tensor, epsilon: float = 1e-2) -> torch.Tensor:
    """Weights ``1 / (|prediction| + epsilon)^2`` of squared errors, without gradient.

    Parameters
    ----------
    prediction
        Complex, any shape.
    epsilon
        In the unit of the k-space, which is meant to have a largest magnitude of 1.

    Returns
    -------
        Real, shape of the prediction, finite for zeros.
    """
    return (prediction.detach().abs() + epsilon) ** -2


def hdr(
    prediction: torch.Tensor,
    target: torch.Tensor,
    epsilon: float = 1e-2,
    *,
    outer_weight: float = 0.0,
    k: torch.Tensor | None = None,
    sigma: float = 1.0,
) -> torch.Tensor:
    """Mean of ``w |prediction - target|^2 + outer_weight * w |(1 - g) prediction|^2``.

    w are the :func:`hdr_weights` and ``g = exp(-|k|^2 / (2 sigma^2))``: the second term holds the outer
    k-space down.

    Parameters
    ----------
    prediction, target
        Complex (point, coil).
    epsilon
        See :func:`hdr_weights`.
    outer_weight
        Weight of the second term, f of the paper.
    k
        Coordinates (point, 2); needed by the second term.
    sigma
        Width of g in the unit of k.

    Raises
    ------
    ShapeError
        If prediction and target differ in shape.
    ConfigError
        If the second term has a weight, but no coordinates.
    """
    if prediction.shape != target.shape:
        # Broadcasting would compare every point with every other.
        raise ShapeError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ; "
            "both are (point, coil)"
        )
    weights = hdr_weights(prediction, epsilon)
    loss = (weights * _power(prediction - target)).mean()
    if not outer_weight:
        return loss
    if k is None:
        raise ConfigError(f"outer_weight={outer_weight} needs the coordinates k (point, 2); found None")
    outer = 1 - torch.exp(-k.square().sum(-1, keepdim=True) / (2 * sigma**2))
    return loss + outer_weight * (weights * _power(outer * prediction)).mean()


def _power(values: torch.Tensor) -> torch.Tensor:
    """Squared magnitude; its gradient is defined at zero, unlike that of ``abs`` squared."""
    return torch.view_as_real(values).square().sum(-1)
