"""The error that images are expected to have, without a truth and without held-out samples.

Stein's unbiased risk estimate: the noise is known, so what a method makes of it can be told by running the
method once more on data with a little more noise. With the density d as the weight of a sample, the variance
v of a complex one, the forward operator A and any method f of the data y ::

    R = sum d |A f(y) - y|^2 - v sum d + 2 v Re sum d conj(b) (A f(y + e b) - A f(y)) / e

is, in the mean over the noise, ``sum d |A f(y) - A x|^2`` of the true images x; b is white noise of variance
1, and e a tenth of the noise's standard deviation. The density makes the sum an integral over k-space, and so
over the image. What lies where no sample was measured does not count: R is too small for methods that leave
gaps of k-space empty. Stein, doi:10.1214/aos/1176345632; with one random direction: Ramani, Blu and Unser,
doi:10.1109/TIP.2008.2001404; of what is measured only: Eldar, doi:10.1109/TSP.2008.2008212.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.operators.sense import Sense, density_of

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Images (frame, y, x) of the data, and of the data with a little more noise."""

_STEP = 0.1
"""Of the disturbance, in standard deviations of the noise."""
_TOLERANCE = 1e-4
"""Of the NUFFT: its error must lie far below the noise of scans that hold little of it."""
_MOST_FRAMES = 16
"""That are judged, evenly spread: a mean over more of them would hardly be another."""


@dataclass(frozen=True)
class ExpectedError:
    """How far images are expected to lie from the true ones."""

    of_noise: float
    """Their squared error relative to that of the data themselves, which is their noise: 1 is no better than
    the data. Below 0 by chance where next to no error is left."""
    relative: float
    """Their error relative to their norm, as NRMSE is."""
    is_measured: bool
    """Whether a noise scan told the noise; False: it was estimated."""

    def __str__(self) -> str:
        source = "" if self.is_measured else ", noise estimated"
        return f"expected error {100 * self.relative:.1f} %{source}"


class Risk:
    """Judges images of one slice by their expected error.

    Parameters
    ----------
    kspace
        Prepared, on its device, with its density and its noise.
    maps
        Coil maps on the same device.
    seed
        Of the disturbance; one is as good as another.

    Raises
    ------
    DataError
        If the noise is not known.
    """

    def __init__(self, kspace: KSpace, maps: CoilMaps, seed: int = 0) -> None:
        if kspace.noise is None:
            raise DataError("the risk needs the noise of the k-space: with_noise estimates it")
        self._kspace, self._noise, self._seed = kspace, kspace.noise, seed
        self._step = _STEP * math.sqrt(self._noise.variance)
        self._judged = _evenly(kspace.n_frames, kspace.data.device)
        judged = _some_frames(kspace, self._judged)
        self._data, self._density = judged.data, density_of(judged)
        self._sense = Sense(judged, maps, _TOLERANCE)
        weighed = self._direction()[self._judged] * self._density[:, None]
        self._probe = self._sense.adjoint(weighed)
        self._noise_energy = self._noise.variance * kspace.n_coils * float(self._density.double().sum())

    @property
    def disturbed(self) -> KSpace:
        """The data with a little more noise: what the method is to be run on once more."""
        return replace(self._kspace, data=self._kspace.data + self._step * self._direction())

    def of(self, images: torch.Tensor, disturbed: torch.Tensor) -> ExpectedError:
        """The expected error of images (frame, y, x), given those of the disturbed data."""
        predicted = self._sense.forward(images[self._judged])
        energy = self._product(predicted, predicted)
        misfit = self._product(predicted - self._data, predicted - self._data)
        risk = misfit - self._noise_energy + float(self._divergence(images, disturbed).double().sum())
        relative = math.sqrt(max(risk, 0.0) / energy) if energy else 0.0
        return ExpectedError(risk / self._noise_energy, relative, self._noise.is_measured)

    def share(self, start: Pair, end: Pair) -> float:
        """How much of images, 0..1, in a mixture with those that they started from has the least error."""
        change = end[0] - start[0]
        changed = self._sense.forward(change[self._judged])
        missing = self._data - self._sense.forward(start[0][self._judged])
        energy = self._product(changed, changed)
        divergence = float(self._divergence(change, end[1] - start[1]).double().sum())
        along = self._product(changed, missing) - divergence / 2
        return min(max(along / energy, 0.0), 1.0) if energy else 0.0

    def map(self, images: torch.Tensor, disturbed: torch.Tensor) -> torch.Tensor:
        """(y, x) how much of the noise of the data comes through, noisy itself; its sum is the share of R."""
        return self._divergence(images, disturbed).sum(0) / self._noise_energy

    def _direction(self) -> torch.Tensor:
        """White noise of variance 1, (frame, coil, spoke, readout), the same at every call."""
        data = self._kspace.data
        generator = torch.Generator(data.device).manual_seed(self._seed)
        return torch.randn(data.shape, dtype=data.dtype, device=data.device, generator=generator)

    def _divergence(self, images: torch.Tensor, disturbed: torch.Tensor) -> torch.Tensor:
        """(judged frame, y, x) terms of ``2 v Re sum d conj(b) (A f(y + e b) - A f(y)) / e``."""
        change = (disturbed - images)[self._judged]
        return 2 * self._noise.variance / self._step * (self._probe.conj() * change).real

    def _product(self, one: torch.Tensor, other: torch.Tensor) -> float:
        product = (one.conj() * other).real.sum(1, dtype=torch.float64)
        return float((self._density * product).sum())


def _evenly(n_frames: int, device: torch.device) -> torch.Tensor:
    count = min(n_frames, _MOST_FRAMES)
    return torch.linspace(0, n_frames - 1, count, dtype=torch.float64).round().long().to(device)


def _some_frames(kspace: KSpace, index: torch.Tensor) -> KSpace:
    """The samples of some of the frames."""
    return KSpace(
        data=kspace.data[index],
        trajectory=kspace.trajectory[index],
        matrix=kspace.matrix,
        density=density_of(kspace)[index],
        noise=kspace.noise,
    )
