"""Gradient delays of radial data, told apart from a linear phase of the image.

Both move the echo along its spoke. With n the direction of a spoke, the centre of its echo lies at

    shift(n) = offset . n + n^T S n

A constant offset of k-space (a linear image phase) changes sign with the direction of the spoke; a
gradient delay, described by a symmetric matrix S (doi 10.1002/mrm.27506), does not. The offset is
harmless: it changes the phase of the image only. The delay blurs the image and is corrected.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from python_recon.acquisition.radial.shape import run_through_centre
from python_recon.acquisition.radial.spoke_crossings import Spokes, crossing_delay
from python_recon.data import KSpace

logger = logging.getLogger(__name__)

_WINDOW = 0.15
"""Half width of the part of a spoke that the echo centre is found from, relative to the longest radius."""
_CENTRE_ITERATIONS = 10
_DELAY = [2, 3, 4]
"""Columns of the delay in the fit of the echo centres."""
_SIGNIFICANT_CHI_SQUARED = 16.27
"""99.9th percentile for the three parameters of the delay."""
_SMALLEST_DELAY = 0.25
"""Cycles per field of view: 45 degrees of phase at the edge of the image. Smaller delays do not show."""


@dataclass(frozen=True)
class RadialShift:
    """Where the echoes are centred, and how well that is known. Units: cycles per field of view."""

    offset: tuple[float, ...]
    """Constant offset (kx, ky) of k-space."""
    offset_error: tuple[float, ...]
    """Standard errors; infinite where the spokes do not determine the offset."""
    delay: tuple[float, ...]
    """Entries (xx, yy, xy) of the symmetric matrix S of the gradient delay."""
    delay_error: tuple[float, ...]
    delay_chi_squared: float
    """Squared distance of the delay from zero, in units of its covariance; 3 degrees of freedom."""
    residual: float
    """Root-mean-square misfit of an echo centre."""
    sample_spacing: float
    """Distance between samples of a spoke, to tell shifts in samples."""

    @property
    def matrix(self) -> np.ndarray:
        """S, (2, 2)."""
        xx, yy, xy = self.delay
        return np.array([[xx, xy], [xy, yy]])

    @property
    def largest_delay_samples(self) -> float:
        """The largest shift along any direction, in samples."""
        return float(np.abs(np.linalg.eigvalsh(self.matrix)).max()) / self.sample_spacing

    def __str__(self) -> str:
        (x, y), (x_error, y_error) = (
            [value / self.sample_spacing for value in values] for values in (self.offset, self.offset_error)
        )
        return (
            f"k-space offset ({x:.2f} +- {x_error:.2f}, {y:.2f} +- {y_error:.2f}) samples, largest delay "
            f"{self.largest_delay_samples:.2f} +- {max(self.delay_error) / self.sample_spacing:.2f} samples, "
            f"chi squared {self.delay_chi_squared:.1f}"
        )

    @property
    def is_significant(self) -> bool:
        """Whether the delay is beyond doubt and large enough to show."""
        is_large = self.largest_delay_samples * self.sample_spacing > _SMALLEST_DELAY
        return is_large and self.delay_chi_squared > _SIGNIFICANT_CHI_SQUARED


_UNKNOWN = RadialShift(
    offset=(0.0, 0.0),
    offset_error=(np.inf, np.inf),
    delay=(0.0, 0.0, 0.0),
    delay_error=(np.inf, np.inf, np.inf),
    delay_chi_squared=0.0,
    residual=np.inf,
    sample_spacing=1.0,
)


def estimate_shift(kspace: KSpace) -> RadialShift:
    """Offset and gradient delay from all spokes that the frames own.

    The delay comes from the crossings of spokes, where no phase of the object disturbs it, and the offset
    from the centres of the echoes that the delay leaves unexplained. A non-linear image phase makes odd
    harmonics of the angle; the third is fitted along. Spokes that differ by much (motion, spikes) count
    less. The offset is as good as the echo is round: that of an oblong object is off by up to a fifth.

    Parameters
    ----------
    kspace
        NumPy arrays; straight spokes, evenly sampled, through or close by the centre of k-space.
    """
    spokes, positions = _own_spokes(kspace)
    if len(positions) == 0:
        return _UNKNOWN
    spacing = float(np.median(np.abs(np.diff(positions, axis=1))))
    centres = _echo_centres(spokes.data, positions) / spacing
    design = _design(spokes.directions)
    start, _, _ = _robust_fit(design, centres)
    delay, delay_covariance = crossing_delay(spokes, start[_DELAY])
    left = centres - design[:, _DELAY] @ delay
    offset, offset_covariance, residual = _robust_fit(np.delete(design, _DELAY, axis=1), left)
    return RadialShift(
        offset=_scaled(offset[:2], spacing),
        offset_error=_scaled(np.sqrt(np.diag(offset_covariance)[:2]), spacing),
        delay=_scaled(delay, spacing),
        delay_error=_scaled(np.sqrt(np.diag(delay_covariance)), spacing),
        delay_chi_squared=_chi_squared(delay, delay_covariance),
        residual=residual * spacing,
        sample_spacing=spacing,
    )


def correct(kspace: KSpace, mode: Literal["auto", "on", "off"]) -> KSpace:
    """Move the spokes to where the gradient delay has put them; the linear phase stays.

    ``auto`` does so only where the delay is significant. Half spokes and spokes that are sampled on a ramp do
    not tell it: they stay where they are. A density is dropped, for it no longer fits.
    """
    if mode == "off":
        return kspace
    if not run_through_centre(kspace.trajectory):
        level = logging.WARNING if mode == "on" else logging.INFO
        logger.log(
            level, "the spokes do not run through the centre of k-space: no gradient delay can be told"
        )
        return kspace
    shift = estimate_shift(kspace)
    logger.info("slice %d: %s", kspace.counters.slice, shift)
    if mode == "auto" and not shift.is_significant:
        return kspace
    return shift_spokes(kspace, shift)


def shift_spokes(kspace: KSpace, shift: RadialShift) -> KSpace:
    """The k-space with every spoke moved by -S n, which puts its echo back to the centre."""
    moved = kspace.trajectory - (_directions(kspace) @ shift.matrix)[:, :, None, :]
    return replace(kspace, trajectory=moved.astype(np.float32), density=None)


def _directions(kspace: KSpace) -> np.ndarray:
    """Unit vectors (frame, spoke, 2), zero for padding."""
    ends = np.asarray(kspace.trajectory[:, :, -1] - kspace.trajectory[:, :, 0], np.float64)
    lengths = np.linalg.norm(ends, axis=-1, keepdims=True)
    directions: np.ndarray = np.divide(ends, lengths, out=np.zeros_like(ends), where=lengths > 0)
    return directions


def _own_spokes(kspace: KSpace) -> tuple[Spokes, np.ndarray]:
    """The spokes that are there and not borrowed, and the positions (spoke, readout) of their samples."""
    directions = _directions(kspace)
    is_own = directions.any(-1) & np.abs(kspace.data).any((1, 3))
    if kspace.is_shared is not None:
        is_own &= ~kspace.is_shared
    positions = np.einsum("fsrd,fsd->fsr", kspace.trajectory, directions)[is_own]
    spacing = np.diff(positions, axis=1).mean(1)
    data = kspace.data.transpose(0, 2, 1, 3)[is_own]
    first = kspace.trajectory[:, :, 0][is_own] - positions[:, :1] * directions[is_own]
    spokes = Spokes(data, directions[is_own], -positions[:, 0] / spacing, first / spacing[:, None])
    return spokes, positions


def _echo_centres(data: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Signed positions (spoke,) of the echoes along their spokes."""
    energy = np.square(np.abs(data)).sum(1, dtype=np.float64)
    width = _WINDOW * np.abs(positions).max()
    centres = np.take_along_axis(positions, energy.argmax(-1)[:, None], -1)[:, 0]
    # The phase of this sum is the centre of gravity on a circle: even noise does not pull it anywhere.
    for _ in range(_CENTRE_ITERATIONS):
        angle = np.clip((positions - centres[:, None]) / width, -1, 1) * np.pi
        moment = (energy * (1 + np.cos(angle)) * np.exp(1j * angle)).sum(-1)
        centres = centres + np.angle(moment) * width / np.pi
    return centres


def _design(directions: np.ndarray) -> np.ndarray:
    """Columns: offset (2), delay (3) and the third harmonic, which a non-linear image phase makes."""
    x, y = directions.T
    angle = np.arctan2(y, x)
    return np.stack([x, y, x * x, y * y, 2 * x * y, np.cos(3 * angle), np.sin(3 * angle)], axis=1)


def _robust_fit(design: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Parameters, their covariance and the misfit; iteratively reweighted by Tukey's biweight."""
    n_parameters = design.shape[1]
    if len(values) <= n_parameters or np.linalg.matrix_rank(design, tol=1e-3) < n_parameters:
        return np.zeros(n_parameters), np.diag(np.full(n_parameters, np.inf)), float("inf")
    weights = np.ones(len(values))
    for _ in range(10):
        weighted = design * weights[:, None]
        parameters = np.linalg.solve(weighted.T @ design, weighted.T @ values)
        misfits = values - design @ parameters
        scale = max(1.4826 * float(np.median(np.abs(misfits))), 1e-9)
        weights = np.square(np.clip(1 - np.square(misfits / (4.685 * scale)), 0, None))
    degrees = max(float(weights.sum()) - n_parameters, 1.0)
    variance = float((weights * misfits**2).sum()) / degrees
    return parameters, variance * np.linalg.inv((design * weights[:, None]).T @ design), variance**0.5


def _scaled(values: np.ndarray, factor: float) -> tuple[float, ...]:
    return tuple((values * factor).tolist())


def _chi_squared(values: np.ndarray, covariance: np.ndarray) -> float:
    if not np.isfinite(covariance).all():
        return 0.0
    return float(values @ np.linalg.solve(covariance, values))
