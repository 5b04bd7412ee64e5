"""K-space and field of view fitted to each other and to the object.

Along a spoke the samples lie closer than the field of view demands, so nothing folds in a gridded image. An
iterative reconstruction has to explain all signal within its matrix: what lies outside comes back as bright
edges and streaks unless the matrix is wide enough.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from python_recon.acquisition.radial.trajectory import spoke_extent
from python_recon.data import KSpace, Readout, Scan
from python_recon.errors import MissingTrajectoryError

_SCALES = (1.0, 1.25, 1.5, 2.0)
_ENERGY_OUTSIDE = 0.01
"""Share of the signal that may lie outside, edge ringing of an object that just fits included."""

_log = logging.getLogger(__name__)


def field_of_view_scale(kspace: KSpace) -> float:
    """By how much the field of view has to grow to hold the object: 1, 1.25, 1.5 or 2.

    Judged by the projections, which are the Fourier transforms of the spokes and as wide as the sample
    spacing allows. NumPy arrays.
    """
    spacing = float(np.median(np.linalg.norm(np.diff(kspace.trajectory, axis=2), axis=-1)))
    if not 0 < spacing < 1:
        return 1.0
    projections = np.fft.fftshift(np.fft.fft(kspace.data, axis=-1), axes=-1)
    energy = (np.abs(projections) ** 2).mean((0, 1, 2))
    position = np.abs(np.arange(kspace.n_samples) - kspace.n_samples // 2) / (kspace.n_samples * spacing)
    # The ends of the projections are taken to hold noise only.
    is_end = position > 0.9 * position.max()
    floor = np.median(energy[is_end])
    signal = energy - floor
    uncertainty = 4 * floor / np.sqrt(kspace.data[..., 0].size * is_end.sum())
    for scale in _SCALES:
        is_outside = position > scale / 2
        doubt = uncertainty * is_outside.sum()
        if scale * spacing > 1 or signal[is_outside].sum() <= _ENERGY_OUTSIDE * signal.sum() + doubt:
            return min(scale, 1 / spacing)
    return _SCALES[-1]


def trim(readouts: Iterable[Readout], scan: Scan, matrix: tuple[int, int]) -> Iterator[Readout]:
    """Readouts without the samples that lie beyond the k-space of a matrix smaller than the measured one.

    A transform onto that matrix would take them for others: its k-space is periodic. All spokes keep the same
    number of samples, also where the field of view is no square and its k-space therefore no circle.
    """
    extent = np.array(spoke_extent(scan))
    shape = extent / extent[0]
    limit = min(matrix[1], matrix[0] / shape[1]) / 2
    for readout in readouts:
        if readout.trajectory is None:
            raise MissingTrajectoryError("a readout has no trajectory; locate it first")
        round_trajectory = readout.trajectory / shape
        step = np.median(np.linalg.norm(np.diff(round_trajectory, axis=0), axis=-1))
        centre = int(np.linalg.norm(round_trajectory, axis=-1).argmin())
        # A quarter sample of tolerance, so that rounding gives no spoke another length than the others.
        reach = int(limit / step + 0.25)
        kept = slice(max(centre - reach, 0), centre + reach)
        yield replace(
            readout,
            data=readout.data[:, kept],
            trajectory=readout.trajectory[kept],
            center_sample=centre - kept.start,
        )


def widen(kspace: KSpace, scale: float) -> KSpace:
    """The same samples for a field of view that is ``scale`` times as wide, with pixels of the same size."""
    matrix = (_even(kspace.matrix[0] * scale), _even(kspace.matrix[1] * scale))
    stretch = np.array([matrix[1] / kspace.matrix[1], matrix[0] / kspace.matrix[0]], np.float32)
    if matrix != kspace.matrix:
        _log.info("reconstructing on %d x %d, to hold what lies outside the field of view", *matrix)
    narrow = kspace.image_matrix or kspace.matrix
    # Areas of k-space grow with the squares of its units.
    density = None if kspace.density is None else kspace.density * stretch.prod()
    return replace(
        kspace, trajectory=kspace.trajectory * stretch, density=density, matrix=matrix, image_matrix=narrow
    )


def narrow(images: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """The centre (frame, y, x) of wider images, in the scale of the narrow matrix."""
    wide = images.shape[-2:]
    rows, columns = (slice(w // 2 - n // 2, w // 2 - n // 2 + n) for w, n in zip(wide, matrix, strict=True))
    ratio = np.float32(np.sqrt(matrix[0] * matrix[1] / (wide[0] * wide[1])))
    centre: np.ndarray = images[..., rows, columns] * ratio
    return centre


def _even(size: float) -> int:
    return 2 * round(size / 2) if size % 1 else int(size)
