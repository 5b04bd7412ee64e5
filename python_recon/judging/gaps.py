"""What the risk cannot see: the error between spokes, where all of them together leave gaps.

The risk tells the error at the places of the samples, where it is smallest: images are made to agree there.
Where spokes lie densely that is the error everywhere. Where they do not, some of them are left out in turn
and predicted by images of the others: each then stands in the middle of a gap twice as wide as those there
are, a whole gap from its neighbours. An error that grows with the square of that distance is, in the mean
over the gaps there are, ``risk + (error of those left out - risk) / 12``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from python_recon.acquisition.encoding import encoding_of
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.operators.sense import Sense, density_of, undersampling

_FOLDS = 3
"""Parts of the spokes that are left out in turn: of neighbours in angle only one at a time."""
_FEWEST_SPOKES = 3 * _FOLDS
_BETWEEN = 1 / 12
"""Mean square of the distance to the nearest spoke, relative to the distance of spokes."""
_TOLERANCE = 1e-4


class Gaps:
    """Adds to the risk of images what lies between the spokes.

    Parameters
    ----------
    kspace, maps
        As for :class:`~python_recon.judging.risk.Risk`.

    Raises
    ------
    DataError
        If the noise is not known.
    """

    def __init__(self, kspace: KSpace, maps: CoilMaps) -> None:
        if kspace.noise is None:
            raise DataError("gaps are judged in units of the noise: with_noise estimates it")
        self._data, self._density = kspace.data, density_of(kspace)
        self._sense, self._fold = Sense(kspace, maps, _TOLERANCE), _folds(kspace)
        self.without = [
            replace(kspace, density=self._density * (self._fold != at)[..., None]) for at in range(_FOLDS)
        ]
        """The k-space without the weight of one part of the spokes, for each part."""
        self._noise_energy = kspace.noise.variance * kspace.n_coils * float(self._density.double().sum())

    def widened(self, risk: float, images: Sequence[torch.Tensor]) -> float:
        """The risk with what lies between spokes, given images (frame, y, x) of each of ``without``."""
        errors = [self._error(at, each) for at, each in enumerate(images)]
        left_out = sum(errors) / self._noise_energy - 1
        return risk + _BETWEEN * (left_out - risk)

    def _error(self, at: int, images: torch.Tensor) -> float:
        """Squared error at the spokes of a part."""
        missing = (self._sense.forward(images) - self._data).abs().square().sum(1, dtype=torch.float64)
        return float((self._density * (self._fold == at)[..., None] * missing).sum())


def has_gaps(kspace: KSpace) -> bool:
    """Whether all spokes together sample less than a still object needs, and some can be left out.

    Of readouts that do not cover k-space in the same way, as lines of a grid, none can stand for another.
    """
    if not encoding_of(kspace).READOUTS_ARE_ALIKE:
        return False
    measured = (density_of(kspace) > 0).any(-1).sum()
    return float(undersampling(kspace)) > 1 and int(measured) >= _FEWEST_SPOKES


def _folds(kspace: KSpace) -> torch.Tensor:
    """(frame, spoke) the part of each spoke; neighbours in angle belong to different ones."""
    along = kspace.trajectory[:, :, -1] - kspace.trajectory[:, :, 0]
    angle = torch.atan2(along[..., 1], along[..., 0]) % torch.pi
    is_measured = (density_of(kspace) > 0).any(-1)
    order = torch.where(is_measured, angle, torch.inf).flatten().argsort()
    return (order.argsort() % _FOLDS).reshape(angle.shape)
