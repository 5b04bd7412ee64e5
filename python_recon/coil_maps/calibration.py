"""The central k-space of all frames together, from which coil maps are estimated."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch

from python_recon.acquisition.encoding import encoding_of
from python_recon.arrays import Array
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.operators.nufft import Nufft

_log = logging.getLogger(__name__)

_LEAST_WIDTH = 8
"""Of any region, so that the estimators' neighbourhoods fit in it."""
_RIM = 0.017
"""By how much the region is wider, in cycles: samples lie on whole and half ones."""


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
    """Pool the spokes of all frames, or those for calibration only, and cut them to the calibration region.

    Padded and borrowed spokes are left out, and so are spokes with samples that are not finite.

    Parameters
    ----------
    kspace
        NumPy arrays or Torch tensors.
    region
        Bounds for the width.
    width
        Diameter of the region in cycles per field of view. By default the largest one that the pooled
        spokes sample at the Nyquist rate within the bounds of ``region``.

    Raises
    ------
    DataError
        If nothing is left, or what is left is zero.
    """
    kspace = kspace.calibration or kspace
    trajectory = _tensor(kspace.trajectory).flatten(0, 1)
    encoding = encoding_of(kspace)
    most = region.most_spokes if encoding.READOUTS_ARE_ALIKE else None
    chosen = _choose_spokes(kspace, most).to(trajectory.device)
    spokes = trajectory[chosen]
    sampled = encoding.sampled_width(kspace, chosen)
    if not encoding.READOUTS_ARE_ALIKE and width is None:
        width = _width_of_centre(sampled, region)
    width = _fitting_width(region, width, sampled, spokes, kspace.matrix)
    columns = _columns(spokes, width)
    spokes = spokes[:, columns]
    samples = _tensor(kspace.data[..., columns]).movedim(1, 0).flatten(1, 2)[:, chosen]
    magnitude = samples.abs()
    finite = magnitude.sum((0, 2)).isfinite() & spokes.sum((1, 2)).isfinite()
    if not finite.all():
        _log.warning("%d spokes hold values that are not finite and are left out", int((~finite).sum()))
        samples, spokes, magnitude = samples[:, finite], spokes[finite], magnitude[:, finite]
    density = encoding.calibration_density(spokes, samples, width)
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


def _width_of_centre(sampled: float, region: Region) -> int:
    """The width up to which the centre is fully sampled: beyond, a grid with gaps folds the object."""
    if region.is_rough:
        return int(min(max(sampled, _LEAST_WIDTH), region.widest))
    if sampled < _LEAST_WIDTH / 2:
        raise DataError(
            f"the centre of k-space is fully sampled over {sampled:.0f} cycles per field of view, all frames "
            f"together; coil maps need at least {_LEAST_WIDTH // 2}: measure calibration lines, or set "
            "coils.calibration_width to take a centre with gaps"
        )
    return int(min(sampled, region.widest))


def _fitting_width(
    region: Region, width: int | None, sampled: float, spokes: torch.Tensor, matrix: tuple[int, int]
) -> int:
    """The region's width as a multiple of 4, no wider than the spokes reach."""
    needed = region.narrowest if width is None else width
    if 2 * sampled < needed and not region.is_rough:
        _log.warning(
            "the readouts sample %.0f cycles per field of view at the Nyquist rate, less than half of the "
            "calibration region's %d: coil maps may be inaccurate",
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


def _radius(spokes: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(spokes, dim=-1)
