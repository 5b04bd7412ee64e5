"""Areas of the samples of spokes: the ramp."""

from __future__ import annotations

import math

import numpy as np

from python_recon.arrays import Array, like, to_numpy
from python_recon.data import KSpace


def ramp_density(kspace: KSpace) -> Array:
    """Analytic density (frame, spoke, readout) of radial spokes.

    A ring of radius k and width dk is divided among the spokes by the angles that are nearest to each:
    for n spokes at equal angles a sample gets pi k dk / n, and at the centre its share of a disc. Padding
    gets 0. Borrowed spokes count only beyond n / pi, up to which the n spokes of the frame itself lie
    densely enough (Nyquist); there they share the rings with the frame's own.

    Where the field of view is no square, rings are ellipses in cycles per field of view.
    """
    trajectory = to_numpy(kspace.trajectory).astype(np.float64)
    is_there = _flags(kspace.spoke_mask, kspace, value=True)
    is_shared = _flags(kspace.is_shared, kspace, value=False) & is_there
    aspect = _aspect(trajectory[is_there])
    frames = zip(trajectory / (1.0, aspect), is_there & ~is_shared, is_shared, strict=True)
    density = np.stack([aspect * _frame_density(*frame) for frame in frames]).astype(np.float32)
    return like(density, kspace.trajectory)


def _aspect(spokes: np.ndarray) -> float:
    """Height over width of the ellipse on which the steps from sample to sample of all spokes end."""
    if not spokes.any():
        return 1.0
    squares = np.median(np.diff(spokes, axis=1), axis=1) ** 2
    inverse, _, rank, _ = np.linalg.lstsq(squares / squares.mean(), np.ones(len(squares)), rcond=1e-6)
    return float(np.sqrt(inverse[0] / inverse[1])) if rank == 2 and (inverse > 0).all() else 1.0


def _frame_density(trajectory: np.ndarray, is_own: np.ndarray, is_shared: np.ndarray) -> np.ndarray:
    radius, width = np.linalg.norm(trajectory, axis=-1), _widths(trajectory)
    has_half = _has_halves(radius, width)
    shares = _ring_shares(trajectory, radius, has_half & is_own[:, None])
    if is_shared.any():
        is_dense = radius <= is_own.sum() / math.pi
        is_used = (is_own | is_shared)[:, None]
        shares = np.where(is_dense, shares, _ring_shares(trajectory, radius, has_half & is_used))
    density: np.ndarray = _ring_areas(radius, width, is_full=has_half[:, :1] & has_half[:, 1:]) * shares
    return density


def _widths(trajectory: np.ndarray) -> np.ndarray:
    """Length (spoke, readout) of spoke that each sample stands for."""
    gaps = np.linalg.norm(np.diff(trajectory, axis=1), axis=-1)
    widths: np.ndarray = (np.pad(gaps, ((0, 0), (1, 0)), "edge") + np.pad(gaps, ((0, 0), (0, 1)), "edge")) / 2
    return widths


def _has_halves(radius: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Whether a spoke (spoke, 2) has a half before and one after the centre, more than a sample of either."""
    innermost = np.take_along_axis(width, radius.argmin(1)[:, None], axis=1)
    has_half: np.ndarray = radius[:, [0, -1]] > 1.5 * innermost
    return has_half


def _ring_areas(radius: np.ndarray, width: np.ndarray, *, is_full: np.ndarray) -> np.ndarray:
    """Area of the full ring at each sample: the integral of 2 pi |k| over its width.

    A spoke that ends at the centre has no width beyond it.
    """
    half = width / 2
    around = 2 * np.pi * (radius**2 + half**2)
    areas: np.ndarray = np.where(
        radius >= half, 2 * np.pi * radius * width, np.where(is_full, around, np.pi * (radius + half) ** 2)
    )
    return areas


def _ring_shares(trajectory: np.ndarray, radius: np.ndarray, is_used: np.ndarray) -> np.ndarray:
    """Share (spoke, readout) that each sample has of the ring through it; 0 for halves that are not used.

    The ring is divided among the half spokes (spoke, 2) that reach it. The halves of partial echoes end at
    different radii, and beyond the end of the short ones the long ones share the ring alone.
    """
    ends = trajectory[:, [0, -1]]
    angle, reach = np.arctan2(ends[..., 1], ends[..., 0]), np.where(is_used, radius[:, [0, -1]], -1.0)
    along = np.einsum("srd,sd->sr", trajectory, ends[:, 1] - ends[:, 0])
    # Of a spoke with one half all samples lie in that half.
    half = np.where(is_used.all(1, keepdims=True), along >= 0, is_used[:, 1:]).astype(int)
    # An even number of samples makes one half longer by one sample: no reason to leave the other out.
    tolerance = 1.5 * np.abs(np.diff(radius, axis=1)).max(initial=0.0)
    shares = np.zeros_like(radius)
    last = 0.0
    for outer in _levels(reach[is_used], tolerance):
        halves = np.zeros_like(reach)
        halves[reach > last] = _angular_shares(angle[reach > last])
        is_inside = radius <= outer + tolerance
        if last:
            is_inside &= radius > last + tolerance
        shares = np.where(is_inside, np.take_along_axis(halves, half, axis=1), shares)
        last = outer
    return shares


def _levels(reach: np.ndarray, tolerance: float) -> np.ndarray:
    """The different radii at which half spokes end, rising."""
    ordered = np.sort(reach.ravel())
    levels: np.ndarray = ordered[np.diff(ordered, append=np.inf) > tolerance]
    return levels


def _angular_shares(angles: np.ndarray) -> np.ndarray:
    """Share of the circle that is nearest to each angle; at most twice the mean, so that no gap counts."""
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order[0]] + 2 * np.pi) / (2 * np.pi)
    shares = np.empty(len(angles))
    shares[order] = (gaps + np.roll(gaps, 1)) / 2
    return shares.clip(max=2 / len(angles))


def _flags(flags: Array | None, kspace: KSpace, *, value: bool) -> np.ndarray:
    if flags is None:
        return np.full((kspace.n_frames, kspace.n_spokes), value)
    return to_numpy(flags)
