"""The noise of a scan without a noise scan, from the data themselves."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from python_recon.acquisition.encoding import encoding_of
from python_recon.arrays import to_numpy
from python_recon.data import KSpace, NoiseLevel

_BANDS = (0.55, 0.65, 0.75, 0.85)
"""Edges of bands of the projections, as shares of half their width: beyond the object, as a rule, and short
of the ends, where the receiver's filter damps the noise, too."""
_LEAST_OVERSAMPLING = 1.5
"""Of the readout, below which the object fills the projections."""
_SAME_DISTANCE = 0.01
"""Cycles per field of view."""
_OUTER_SHARE = 20
"""One of so many samples of a spoke, the outermost, tells the noise where projections cannot."""


def with_noise(kspace: KSpace) -> KSpace:
    """The k-space with its noise, estimated where no noise scan told it."""
    if kspace.noise is not None:
        return kspace
    return replace(kspace, noise=NoiseLevel(estimate_noise(kspace), is_measured=False))


def estimate_noise(kspace: KSpace) -> float:
    """Standard deviation of the real part of a sample, and of its imaginary part; a mean over the coils.

    A spoke's transform is a projection, as wide as its samples lie dense: beyond the object it holds noise
    only. Where the readout is hardly oversampled, the samples furthest from the centre are taken for noise,
    which is too much where the object reaches them. Medians keep spikes and rests of the object out.
    """
    data, trajectory = to_numpy(kspace.data), to_numpy(kspace.trajectory)
    is_there = np.abs(data).any((1, 3))
    spokes, places = data.swapaxes(1, 2)[is_there], trajectory[is_there]
    if not spokes.size:
        return 0.0
    if not encoding_of(kspace).READOUTS_ARE_ALIKE:
        return math.sqrt(_furthest(spokes, places) / 2)
    spacing = float(np.median(np.linalg.norm(np.diff(places, axis=1), axis=-1)))
    is_wide = 0 < spacing * _LEAST_OVERSAMPLING <= 1
    power = _beyond_object(spokes) if is_wide else _outermost(spokes, places)
    return math.sqrt(power / 2)


def _beyond_object(spokes: np.ndarray) -> float:
    """Mean power of a sample (spoke, coil, readout), from the quietest band beyond the object."""
    n_samples = spokes.shape[-1]
    # Without a window the object would ring through the whole projection.
    window = np.hanning(n_samples + 2)[1:-1]
    window /= np.linalg.norm(window)
    projections = np.fft.fftshift(np.fft.fft(spokes * window.astype(np.float32), axis=-1), axes=-1)
    position = np.abs(np.arange(n_samples) - n_samples // 2) / (n_samples / 2)
    powers = []
    for low, high in itertools.pairwise(_BANDS):
        band = projections[..., (position >= low) & (position < high)]
        powers.append(np.median(np.abs(band) ** 2, axis=(0, 2)).mean() / math.log(2))
    return float(min(powers))


def _furthest(spokes: np.ndarray, places: np.ndarray) -> float:
    """Mean power of those samples (spoke, coil, readout) of all together that are furthest from the centre.

    Samples that are zero in all coils were not measured.
    """
    is_there = spokes.any(1)
    reach = np.abs(places).max((0, 1)).clip(min=1)
    radius = np.linalg.norm(places / reach, axis=-1)[is_there]
    outer = radius >= np.quantile(radius, 1 - 1 / _OUTER_SHARE)
    samples = spokes.swapaxes(1, 2)[is_there][outer]
    return float(np.median(np.abs(samples) ** 2) / math.log(2))


def _outermost(spokes: np.ndarray, places: np.ndarray) -> float:
    """Mean power of the samples (spoke, coil, readout) furthest from the centre."""
    radius = np.linalg.norm(places, axis=-1)
    count = max(1, spokes.shape[-1] // _OUTER_SHARE)
    # Of two samples at the same distance the earlier one, whatever the last bit of their places.
    order = np.linspace(0, _SAME_DISTANCE, spokes.shape[-1])
    furthest = np.argsort(radius - order, axis=-1)[:, -count:]
    outer = np.take_along_axis(spokes, furthest[:, None], axis=-1)
    return float(np.median(np.abs(outer) ** 2) / math.log(2))
