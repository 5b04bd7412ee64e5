"""Arrays of one's own, checked: shapes, types and units, with the cure where they do not fit."""

from __future__ import annotations

import math

import numpy as np

from python_recon.arrays import Array, to_numpy
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError, DataError, ShapeError

_SHORTEST = 0.4
"""Smallest reach of a trajectory, as a share of N/2: less is another unit, not a coarse image."""
_TOLERANCE = 0.1
"""By which a radius may miss 0.5 or pi and still be told as such a unit."""
_DENSITY_FACTOR = 3.0
"""By which the areas of a frame may miss that of k-space: frames of few spokes leave gaps."""


def kspace_from(
    data: Array,
    trajectory: Array | None,
    matrix: int | tuple[int, int] | None,
    spokes_per_frame: int | None,
    density: Array | None,
    spoke_times_s: Array | None,
) -> KSpace:
    """K-space of one slice; the parameters are those of :func:`~python_recon.api.reconstruct.reconstruct`."""
    if trajectory is None or matrix is None:
        raise ConfigError(
            f"{'trajectory' if trajectory is None else 'matrix'} is missing: give "
            "reconstruct(kspace, trajectory, matrix=N)"
        )
    samples, places = to_numpy(data), to_numpy(trajectory)
    areas = None if density is None else to_numpy(density)
    times = None if spoke_times_s is None else to_numpy(spoke_times_s)
    if spokes_per_frame is not None:
        samples, places, areas, times = _cut(samples, places, areas, times, n_spokes=spokes_per_frame)
    check_samples(samples)
    size = _matrix(matrix)
    check_trajectory(places, samples, size)
    return KSpace(
        data=samples.astype(np.complex64, copy=False),
        trajectory=places.astype(np.float32, copy=False),
        matrix=size,
        density=None if areas is None else _density(areas, places, size),
        spoke_times_s=None if times is None else _times(times, places),
        times_s=None if times is None else times.mean(1),
    )


def maps_from(maps: CoilMaps | Array, kspace: KSpace) -> CoilMaps:
    """Coil maps that fit the k-space, normalised.

    Raises
    ------
    ShapeError
        If they are of other coils or another matrix.
    DataError
        If they are not finite.
    """
    source = maps.source if isinstance(maps, CoilMaps) else "given"
    values = to_numpy(maps.maps if isinstance(maps, CoilMaps) else maps)
    expected = (kspace.n_coils, *kspace.matrix)
    if values.shape != expected:
        raise ShapeError(f"coil_maps have shape {values.shape}, expected {expected} (coil, y, x)")
    _check_finite("coil_maps", values)
    return CoilMaps.normalised(values, source)


def _matrix(matrix: int | tuple[int, int]) -> tuple[int, int]:
    y, x = (matrix, matrix) if isinstance(matrix, int) else matrix
    if min(y, x) < 16:
        raise ConfigError(f"matrix is {matrix}: expected at least 16 pixels along y and x")
    return int(y), int(x)


def _cut(
    data: np.ndarray,
    trajectory: np.ndarray,
    density: np.ndarray | None,
    times: np.ndarray | None,
    *,
    n_spokes: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Frames of consecutive spokes."""
    if data.ndim != 3 or trajectory.ndim != 3:
        raise ShapeError(
            "with spokes_per_frame, k-space is (coil, spoke, readout) and the trajectory (spoke, readout, "
            f"2); found {data.shape} and {trajectory.shape}"
        )
    if not 0 < n_spokes <= data.shape[1]:
        raise ConfigError(
            f"spokes_per_frame is {n_spokes}: expected 1 to {data.shape[1]}, all spokes there are"
        )
    n_frames = data.shape[1] // n_spokes

    def frames(array: np.ndarray) -> np.ndarray:
        return array[: n_frames * n_spokes].reshape(n_frames, n_spokes, *array.shape[1:])

    return (
        np.ascontiguousarray(frames(data.swapaxes(0, 1)).swapaxes(1, 2)),
        frames(trajectory),
        None if density is None else frames(density),
        None if times is None else frames(times),
    )


def check_samples(data: np.ndarray) -> None:
    """Raise where it is no k-space (frame, coil, spoke, readout)."""
    if data.ndim != 4:
        raise ShapeError(
            f"k-space has shape {data.shape}, expected (frame, coil, spoke, readout): for one frame give "
            "kspace[None] and trajectory[None], for spokes without frames spokes_per_frame=..."
        )
    if not np.iscomplexobj(data):
        raise DataError(f"k-space is {data.dtype}: expected complex numbers, as in real + 1j * imaginary")
    _check_finite("k-space", data)
    if not data.any():
        raise DataError("k-space is zero everywhere: is it the right array?")


def check_trajectory(trajectory: np.ndarray, data: np.ndarray, matrix: tuple[int, int]) -> None:
    """Raise where it does not fit the k-space (frame, coil, spoke, readout) or the matrix (y, x)."""
    frame, _, spoke, readout = data.shape
    expected = (frame, spoke, readout, 2)
    if trajectory.shape != expected:
        shared = trajectory.shape == expected[1:]
        cure = f": for all frames alike give np.broadcast_to(trajectory, {expected})" if shared else ""
        raise ShapeError(
            f"the trajectory has shape {trajectory.shape}, expected {expected} (frame, spoke, readout, 2) "
            f"for k-space of shape {data.shape}{cure}"
        )
    if np.iscomplexobj(trajectory):
        raise DataError("the trajectory is complex: expected a real last axis (kx, ky)")
    _check_finite("the trajectory", trajectory)
    _check_unit(trajectory, matrix)


def _check_unit(trajectory: np.ndarray, matrix: tuple[int, int]) -> None:
    """Whether it reaches the edge of k-space and not beyond."""
    reach = np.abs(trajectory).max((0, 1, 2))
    edge = np.array(matrix[::-1]) / 2
    if (reach <= edge + 1).all() and (reach / edge).max() >= _SHORTEST:
        return
    raise DataError(
        f"the trajectory reaches {reach.max():.4g}, but a matrix of {matrix[0]} x {matrix[1]} (y, x) wants "
        f"{edge.max():g} cycles per field of view: {_cure(trajectory, edge)}"
    )


def _cure(trajectory: np.ndarray, edge: np.ndarray) -> str:
    radius = float(np.linalg.norm(trajectory, axis=-1).max())
    for limit, unit in ((0.5, "-0.5..0.5"), (1.0, "-1..1"), (math.pi, "-pi..pi")):
        if abs(radius / limit - 1) < _TOLERANCE and edge.min() > 2 * limit:
            factors = [f"{side / limit:.6g}" for side in edge]
            factor = factors[0] if edge[0] == edge[1] else f"({', '.join(factors)})"
            return f"it looks like {unit}; multiply it by {factor}"
    if radius > edge.min():
        return "take a larger matrix, or leave out the samples that lie beyond"
    return "multiply it by the field of view if it is in 1/mm or 1/m, or take a smaller matrix"


def _times(times: np.ndarray, trajectory: np.ndarray) -> np.ndarray:
    if times.shape != trajectory.shape[:2]:
        raise ShapeError(f"spoke_times_s has shape {times.shape}, the data need {trajectory.shape[:2]}")
    _check_finite("spoke_times_s", times)
    return times.astype(np.float64)


def _density(density: np.ndarray, trajectory: np.ndarray, matrix: tuple[int, int]) -> np.ndarray:
    if density.shape != trajectory.shape[:3]:
        raise ShapeError(
            f"density has shape {density.shape}, the data need {trajectory.shape[:3]} (frame, spoke, readout)"
        )
    _check_finite("density", density)
    if np.iscomplexobj(density) or (density < 0).any():
        raise DataError("density has complex or negative values: expected areas of k-space, 0 or more")
    reach = np.linalg.norm(trajectory / np.array(matrix[::-1]), axis=-1).max()
    area = math.pi * reach**2 * matrix[0] * matrix[1]
    total = float(density.sum() / len(density))
    if not area / _DENSITY_FACTOR < total < area * _DENSITY_FACTOR:
        raise DataError(
            f"the density of a frame adds up to {total:.4g}, but its k-space has an area of {area:.4g} "
            "(cycles per field of view)^2: multiply the density by their ratio"
            f"{f', {area / total:.4g}' if total else ''}"
        )
    return density.astype(np.float32)


def _check_finite(name: str, values: np.ndarray) -> None:
    n_bad = int((~np.isfinite(values)).sum())
    if n_bad:
        raise DataError(
            f"{name} has {n_bad} values that are NaN or infinite: set them right, or leave them out"
        )
