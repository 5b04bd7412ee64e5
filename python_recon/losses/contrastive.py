"""Contrastive loss of features: two views of one thing are near, those of different things are far apart.

With the temperature t and s the products of a unit vector with all others, the mean over all vectors of
``-log softmax(s / t)[positive]`` (Chen et al., arXiv:2002.05709).
"""

from __future__ import annotations

import torch

from python_recon.errors import ShapeError


def contrastive(one: torch.Tensor, other: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """The loss of vectors (thing, feature), of which those of the same row belong together.

    Raises
    ------
    ShapeError
        If the two differ in shape, or there are fewer than two things: nothing would be far apart.
    """
    check_views(one, other)
    vectors = torch.nn.functional.normalize(torch.cat([one, other]), dim=-1)
    likeness = vectors @ vectors.T / temperature
    likeness = likeness.masked_fill(torch.eye(len(vectors), dtype=torch.bool, device=one.device), -torch.inf)
    positive = torch.arange(len(vectors), device=one.device).roll(len(one))
    return torch.nn.functional.cross_entropy(likeness, positive)


def recall(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the vectors (thing, feature) whose nearest one among all others is of the same thing."""
    check_views(one, other)
    vectors = torch.nn.functional.normalize(torch.cat([one, other]), dim=-1)
    likeness = (vectors @ vectors.T).fill_diagonal_(-torch.inf)
    positive = torch.arange(len(vectors), device=one.device).roll(len(one))
    return float((likeness.argmax(1) == positive).float().mean())


def check_views(one: torch.Tensor, other: torch.Tensor) -> None:
    """Raise ShapeError where two views are none of the same things, or of one thing only."""
    if one.shape != other.shape or one.ndim != 2 or len(one) < 2:
        raise ShapeError(
            f"the views have shapes {tuple(one.shape)} and {tuple(other.shape)}: expected (thing, feature), "
            "both the same, of two things at least"
        )
