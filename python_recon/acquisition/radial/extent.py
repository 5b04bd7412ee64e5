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

from python_recon.acquisition.extent import spoke_extent
from python_recon.acquisition.radial.shape import run_through_centre
from python_recon.data import KSpace, Readout, Scan
from python_recon.errors import MissingTrajectoryError

_SCALES = (1.0, 1.25, 1.5, 2.0)
_ENERGY_OUTSIDE = 0.01
"""Share of the signal that may lie outside, edge ringing of an object that just fits included."""

_ALIKE = 0.05
"""Spokes whose extents differ by less than this share, or by a sample, are of one kind."""

_log = logging.getLogger(__name__)


def field_of_view_scale(kspace: KSpace) -> float:
    """By how much the field of view has to grow to hold the object: 1, 1.25, 1.5 or 2.

    Judged by the projections, which are the Fourier transforms of the spokes and as wide as the sample
    spacing allows; 1 where the spokes have none, being half or sampled unevenly. NumPy arrays.
    """
    if not run_through_centre(kspace.trajectory):
        return 1.0
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
    samples, also where the field of view is no square and its k-space therefore no circle, and where the
    spokes are not exactly alike, as measured trajectories are: they are cut as the first of their kind is.
    """
    extent = np.array(spoke_extent(scan))
    shape = extent / extent[0]
    limit = min(matrix[1], matrix[0] / shape[1]) / 2
    cuts: dict[int, list[slice]] = {}
    for readout in readouts:
        if readout.trajectory is None:
            raise MissingTrajectoryError("a readout has no trajectory; locate it first")
        radius = np.linalg.norm(readout.trajectory / shape, axis=-1)
        kept = _common(_within(radius, limit), cuts.setdefault(readout.n_samples, []))
        yield replace(
            readout,
            data=readout.data[:, kept],
            trajectory=readout.trajectory[kept],
            center_sample=int(radius[kept].argmin()),
        )


def _within(radius: np.ndarray, limit: float) -> slice:
    """The samples around the centre of a spoke up to a radius, the last one short of it on the far side."""
    if len(radius) < 2:
        return slice(0, len(radius))
    steps = np.abs(np.diff(radius))
    # Beyond the end the spoke is thought to go on. A quarter step of tolerance, for rounding.
    onward = np.concatenate([radius, radius[-1] + steps[-1] * np.array([1, 2])])
    is_outside = onward > limit + np.median(steps) / 4
    centre = int(radius.argmin())
    before, after = np.flatnonzero(is_outside[:centre]), np.flatnonzero(is_outside[centre:])
    start = int(before[-1]) + 1 if before.size else 0
    stop = centre + int(after[0]) - 1 if after.size else len(radius)
    return slice(start, min(max(stop, start + 1), len(radius)))


def _common(own: slice, cuts: list[slice]) -> slice:
    """The cut of an earlier spoke of about the same extent, which this one joins; else its own."""
    tolerance = max(1.0, _ALIKE * (own.stop - own.start))
    for cut in cuts:
        if max(abs(cut.start - own.start), abs(cut.stop - own.stop)) <= tolerance:
            return cut
    cuts.append(own)
    return own


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


def _even(size: float) -> int:
    return 2 * round(size / 2) if size % 1 else int(size)
