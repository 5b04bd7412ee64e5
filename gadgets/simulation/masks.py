"""Which lines of a Cartesian scan are measured, frame by frame."""

from __future__ import annotations

import numpy as np

from gadgets.simulation.options import SimulateOptions
from python_recon.errors import ConfigError

_STEEPNESS = 2.5
"""How much denser than at the edge the middle of k-space is sampled, about."""
_MEMORY = 12
"""Frames before that a vista mask spreads its lines from."""
_FRAME = 1.0
"""Distance of frames, in lines."""
_TRIALS = 24
"""Bisections for the distance of points."""


def sampled_lines(options: SimulateOptions) -> np.ndarray:
    """(frame, ky, kz) whether a line images; kz is 1 without partitions.

    Raises
    ------
    ConfigError
        When the mask does not suit the encoding, or so few lines are left that there is nothing to scan.
    """
    n_partitions = options.partitions if options.is_volume else 1
    if options.mask == "caipi" and n_partitions == 1:
        raise ConfigError("a caipi mask shifts lines from partition to partition: take encoding cartesian_3d")
    if options.mask == "vista" and n_partitions > 1:
        raise ConfigError("a vista mask is for lines in time: take encoding cartesian, or poisson")
    if options.acceleration > options.matrix / 2:
        raise ConfigError(
            f"an acceleration of {options.acceleration:g} leaves fewer than 2 of {options.matrix} lines"
        )
    shape = options.frames, options.matrix, n_partitions
    if options.acceleration == 1:
        return np.ones(shape, bool)
    generator = np.random.default_rng([options.seed, 9])
    if options.mask == "vista":
        return _vista(shape, options.acceleration, generator)
    if options.mask == "poisson":
        return np.stack([_poisson(shape[1:], options.acceleration, generator) for _ in range(shape[0])])
    return _lattice(shape, options.acceleration, is_shifted=options.mask == "caipi")


def calibration_lines(options: SimulateOptions) -> np.ndarray:
    """(ky, kz) whether a line belongs to the fully sampled centre."""
    n_partitions = options.partitions if options.is_volume else 1
    return np.logical_and.outer(_middle(options.matrix, options.acs), _middle(n_partitions, options.acs))


def _middle(n: int, width: int) -> np.ndarray:
    width = min(width, n)
    chosen = np.zeros(n, bool)
    chosen[n // 2 - width // 2 : n // 2 - width // 2 + width] = True
    return chosen


def _lattice(shape: tuple[int, int, int], acceleration: float, *, is_shifted: bool) -> np.ndarray:
    """Every R-th line, R rounded; the lattice moves by one line from frame to frame."""
    period = round(acceleration)
    shift = max(1, round(np.sqrt(period))) if is_shifted else 0
    frame, ky, kz = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return (ky - shape[1] // 2 + shift * (kz - shape[2] // 2) + frame) % period == 0  # type: ignore[no-any-return]


def _vista(shape: tuple[int, int, int], acceleration: float, generator: np.random.Generator) -> np.ndarray:
    """Lines of low energy: each is put where those of this frame and of those before push least.

    A greedy form of the sampling of Ahmad et al. (doi 10.1002/mrm.25507): distances count for more towards
    the middle of k-space, where lines shall lie densely.
    """
    n_frames, n_lines, _ = shape
    ky = np.arange(n_lines)
    density = _density(np.abs(ky - n_lines // 2) / (n_lines / 2))
    taken = np.zeros((n_frames, n_lines), bool)
    for frame in range(n_frames):
        energy = 1e-3 * generator.random(n_lines)
        for back in range(1, min(frame, _MEMORY) + 1):
            for line in np.flatnonzero(taken[frame - back]):
                energy += 1 / ((_distance(ky, line, n_lines) * density) ** 2 + (_FRAME * back) ** 2)
        for _ in range(round(n_lines / acceleration)):
            line = int(np.argmin(np.where(taken[frame], np.inf, energy)))
            taken[frame, line] = True
            energy += 1 / np.maximum(_distance(ky, line, n_lines) * density, 1e-3) ** 2
    return taken[:, :, None]


def _distance(ky: np.ndarray, line: int, n_lines: int) -> np.ndarray:
    """From each line to one, around the edge of k-space: else all frames would have the outermost lines."""
    ahead = np.abs(ky - line)
    return np.minimum(ahead, n_lines - ahead)  # type: ignore[no-any-return]


def _poisson(shape: tuple[int, int], acceleration: float, generator: np.random.Generator) -> np.ndarray:
    """Points of an ellipse, none nearer to another than a distance that grows outwards (Bridson's discs)."""
    n_lines, n_partitions = shape
    ky, kz = np.indices(shape).reshape(2, -1)
    reach = np.hypot((ky - n_lines // 2) / (n_lines / 2), (kz - n_partitions // 2) / max(n_partitions / 2, 1))
    order = generator.permutation(np.flatnonzero(reach <= 1))
    wanted = shape[0] * shape[1] / acceleration
    narrow, wide = 0.1, 4.0 * acceleration
    for _ in range(_TRIALS):
        distance = (narrow + wide) / 2
        found = _thinned(ky, kz, distance / _density(reach), order, shape)
        narrow, wide = (distance, wide) if found.sum() > wanted else (narrow, distance)
    return found


def _thinned(
    ky: np.ndarray, kz: np.ndarray, distance: np.ndarray, order: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Points taken in an order, each as long as it is far enough from those before."""
    is_free, taken = np.ones(shape, bool), np.zeros(shape, bool)
    for point in order:
        y, z, radius = ky[point], kz[point], distance[point]
        if not is_free[y, z]:
            continue
        taken[y, z] = True
        reach = int(radius)
        rows, columns = (slice(max(at - reach, 0), at + reach + 1) for at in (y, z))
        grid_y, grid_z = np.ogrid[
            rows.start : min(rows.stop, shape[0]), columns.start : min(columns.stop, shape[1])
        ]
        is_free[rows, columns] &= np.hypot(grid_y - y, grid_z - z) >= radius
    return taken


def _density(reach: np.ndarray) -> np.ndarray:
    """How densely lines lie, at distances from the centre of k-space that are 1 at its edge."""
    return 1 + (_STEEPNESS - 1) * np.maximum(1 - reach, 0) ** 2  # type: ignore[no-any-return]
