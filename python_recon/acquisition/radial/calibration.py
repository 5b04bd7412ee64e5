"""Spokes that are cut to the centre of k-space: the angles they have, and the areas of their samples."""

from __future__ import annotations

import math

import torch

_ANGLE_CLASSES = 3000
"""Angles of the half circle that are told apart; at the rim of the widest region 0.02 cycles."""
_BETWEEN = 0.318
"""Where classes begin, of one: not at the angles of uniform spokes, whose last bit is not to decide."""
_RIM = 0.017
"""By how much the region is wider, in cycles, for the same reason: samples lie on whole and half cycles."""


def n_angles(spokes: torch.Tensor) -> int:
    """Different angles of spokes (spoke, readout, 2)."""
    return len(torch.unique(_angle_class(spokes)))


def areas(spokes: torch.Tensor, width: int) -> torch.Tensor:
    """Area of each sample in k-space: its spoke's share of the half circle times the ramp."""
    radius = _radius(spokes)
    ends = spokes[:, -1] - spokes[:, 0]
    step = torch.linalg.vector_norm(ends, dim=-1, keepdim=True) / max(spokes.shape[1] - 1, 1)
    # The mean of |k| over the sample's length, which is not 0 at the centre.
    ramp = torch.where(radius < step / 2, (radius**2 + step**2 / 4) / step, radius)
    area = math.pi * _shares(_angle(spokes))[:, None] * ramp * step
    return torch.where(radius <= width / 2 + _RIM, area, 0).to(torch.float32)


def _shares(angle: torch.Tensor) -> torch.Tensor:
    """Share of every spoke in the half circle, from angles (spoke,) in classes.

    It is half the gaps to the neighbouring angles, evened out between spokes of about the same angle, so that
    repeated angles, gaps and fields of view of unequal sides are weighted right. Spokes give their gaps to
    the two classes between which they lie and take back what is due to them: the shares change as little as
    the angles do, wherever classes begin.
    """
    order = torch.argsort(angle)
    ordered = angle[order]
    gaps = torch.diff(ordered, append=ordered[:1] + _ANGLE_CLASSES)
    given = torch.empty_like(angle).index_copy_(0, order, (gaps + gaps.roll(1)) / (2 * _ANGLE_CLASSES))
    below = angle.floor()
    classes = torch.stack([below, below + 1]).long() % _ANGLE_CLASSES
    parts = torch.stack([below + 1 - angle, angle - below])
    counts, sums = angle.new_zeros(2, _ANGLE_CLASSES)
    counts.put_(classes, parts, accumulate=True)
    sums.put_(classes, parts * given, accumulate=True)
    return (parts * (sums / counts.clamp_min(1e-9))[classes]).sum(0)


def _radius(spokes: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(spokes, dim=-1)


def _angle(spokes: torch.Tensor) -> torch.Tensor:
    """Angle of every spoke in classes of the half circle, float64."""
    ends = (spokes[:, -1] - spokes[:, 0]).nan_to_num().double()
    return (torch.atan2(ends[:, 1], ends[:, 0]) * (_ANGLE_CLASSES / math.pi)).remainder(_ANGLE_CLASSES)


def _angle_class(spokes: torch.Tensor) -> torch.Tensor:
    """Number of each spoke's angle among the classes of the half circle."""
    return (_angle(spokes) + _BETWEEN).floor().long() % _ANGLE_CLASSES
