"""The central k-space of all frames together, from which coil maps are estimated."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch

from python_recon.arrays import Array
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.operators.nufft import Nufft

_log = logging.getLogger(__name__)

_LEAST_WIDTH = 8
"""Of any region, so that the estimators' neighbourhoods fit in it."""
_ANGLE_CLASSES = 3000
"""Angles of the half circle that are told apart; at the rim of the widest region 0.02 cycles."""
_BETWEEN = 0.318
"""Where classes begin, of one: not at the angles of uniform spokes, whose last bit is not to decide."""
_RIM = 0.017
"""By how much the region is wider, in cycles, for the same reason: samples lie on whole and half cycles."""


@dataclass(frozen=True)
class Region:
    """What an estimator wants of the calibration region."""

    narrowest: int
    """Width that it needs, cycles per field of view."""
    widest: int
    """Width beyond which it gains nothing."""
    most_spokes: int | None = None
    """Spokes it can afford; where there are more, as many are taken, evenly over the scan."""
    is_rough: bool = False
    """For a first look from the first spokes: that they are few is no cause for a warning."""


@dataclass(frozen=True)
class Calibration:
    """Spokes of all frames, cut to the calibration region."""

    samples: torch.Tensor
    """(coil, spoke, readout) complex64, scaled to a largest magnitude of 1."""
    trajectory: torch.Tensor
    """(spoke, readout, 2) float32, cycles per field of view."""
    density: torch.Tensor
    """(spoke, readout) float32, area of each sample; 0 outside the region."""
    width: int
    """Diameter of the region, cycles per field of view; a multiple of 4."""

    @property
    def n_coils(self) -> int:
        return int(self.samples.shape[0])

    @property
    def radius(self) -> torch.Tensor:
        """(spoke, readout) distance from the centre of k-space, cycles per field of view."""
        return _radius(self.trajectory)

    def images(
        self, grid: int, window: torch.Tensor | None = None, field_of_view: float = 1.0
    ) -> torch.Tensor:
        """Coil images (coil, y, x) on ``grid`` x ``grid`` pixels of that many fields of view."""
        weight = self.density if window is None else self.density * window
        nufft = Nufft(field_of_view * self.trajectory[None], (grid, grid))
        return nufft.adjoint((self.samples * weight)[None])[0]

    def window(self) -> torch.Tensor:
        """Cosine window over the region, (spoke, readout): coil images with little ringing."""
        return torch.cos(math.pi * self.radius / self.width)

    def silent_coils(self) -> list[int]:
        """Coils without any signal."""
        return torch.nonzero(self.samples.abs().amax((1, 2)) == 0).flatten().tolist()


def calibrate(kspace: KSpace, region: Region, width: int | None = None) -> Calibration:
    """Pool the spokes of all frames and cut them to the calibration region.

    Padded and borrowed spokes are left out, and so are spokes with samples that are not finite.

    Parameters
    ----------
    kspace
        NumPy arrays or Torch tensors.
    region
        Bounds for the width.
    width
        Diameter of the region in cycles per field of view. By default the largest one that the pooled
        spokes sample at the Nyquist rate (2 n / pi for n angles) within the bounds of ``region``.

    Raises
    ------
    DataError
        If nothing is left, or what is left is zero.
    """
    trajectory = _tensor(kspace.trajectory).flatten(0, 1)
    chosen = _choose_spokes(kspace, region.most_spokes).to(trajectory.device)
    spokes = trajectory[chosen]
    width = _fitting_width(region, width, spokes, kspace.matrix)
    columns = _columns(spokes, width)
    spokes = spokes[:, columns]
    samples = _tensor(kspace.data[..., columns]).movedim(1, 0).flatten(1, 2)[:, chosen]
    magnitude = samples.abs()
    finite = magnitude.sum((0, 2)).isfinite() & spokes.sum((1, 2)).isfinite()
    if not finite.all():
        _log.warning("%d spokes hold values that are not finite and are left out", int((~finite).sum()))
        samples, spokes, magnitude = samples[:, finite], spokes[finite], magnitude[:, finite]
    density = _density(spokes, width)
    largest = (magnitude * (density > 0)).amax() if len(spokes) else 0
    if largest == 0:
        raise DataError(
            f"the {len(spokes)} usable spokes hold no signal near the centre of k-space, of which the coil "
            "maps are made; check the receive coils and the trajectory"
        )
    return Calibration((samples / largest).to(torch.complex64), spokes, density, width)


def _tensor(array: Array) -> torch.Tensor:
    if isinstance(array, np.ndarray):
        array = np.require(array, requirements="W")
    return torch.as_tensor(array)


def _choose_spokes(kspace: KSpace, most: int | None) -> torch.Tensor:
    """Indices of the spokes, counted through all frames, that the calibration uses."""
    is_used = torch.ones(kspace.n_frames, kspace.n_spokes, dtype=torch.bool)
    if kspace.spoke_mask is not None:
        is_used &= _tensor(kspace.spoke_mask).cpu()
    if kspace.is_shared is not None:
        is_used &= ~_tensor(kspace.is_shared).cpu()
    chosen = torch.nonzero(is_used.flatten()).flatten()
    if len(chosen) == 0:
        raise DataError("all spokes of the slice are masked; coil maps need at least one")
    stride = 1 if most is None else math.ceil(len(chosen) / most)
    return chosen[::stride]


def _fitting_width(region: Region, width: int | None, spokes: torch.Tensor, matrix: tuple[int, int]) -> int:
    """The region's width as a multiple of 4, no wider than the spokes reach."""
    n_angles = len(torch.unique(_angle_class(spokes)))
    sampled = 2 * n_angles / math.pi
    needed = region.narrowest if width is None else width
    if 2 * sampled < needed and not region.is_rough:
        _log.warning(
            "%d angles sample %.0f cycles per field of view at the Nyquist rate, less than half of the "
            "calibration region's %d: coil maps may be inaccurate",
            n_angles,
            sampled,
            needed,
        )
    wanted = min(max(sampled, region.narrowest), region.widest) if width is None else width
    reach = 2 * (float(_radius(spokes).nan_to_num().amax(1).median()) + _RIM)
    return max(4 * int(min(wanted, reach, *matrix) // 4), _LEAST_WIDTH)


def _columns(spokes: torch.Tensor, width: int) -> slice:
    """The samples that lie within the region on any spoke."""
    inside = torch.nonzero((_radius(spokes) <= width / 2 + _RIM).any(0)).flatten()
    if len(inside) == 0:
        raise DataError(
            f"no sample lies within {width / 2:.0f} cycles per field of view of the centre of k-space; "
            "check the unit of the trajectory"
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _density(spokes: torch.Tensor, width: int) -> torch.Tensor:
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
