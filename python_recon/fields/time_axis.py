"""The time coordinate of a field: from seconds to 0..1, and the functions of it that a field is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from python_recon.acquisition.gating.heartbeats import Heartbeats
from python_recon.errors import DataError

Kind = Literal["plain", "periodic"]
AxisKind = Literal["plain", "periodic", "navigator"]

RESPIRATORY_SPAN = 0.5
"""Half a turn: {cos, sin}(2 pi r) tell the two ends of the breath apart."""
_TOLERANCE = 1e-6
"""Excess over 0..1 that is put down to rounding."""


@dataclass(frozen=True)
class TimeAxis:
    """Where the time of a spoke lies on a field's time coordinate t.

    ``plain`` is scan time: ``t = (time - start_s) / duration_s``, no wrap. ``periodic`` is the cardiac phase:
    linear between one R wave and the next, then from 0 again. ``navigator`` is the position of the breath,
    linear between the moments at which it is known.
    """

    kind: AxisKind
    start_s: float
    """Start of the scan, or an R wave."""
    duration_s: float
    """Length of the scan, or of a beat wherever ``r_waves_s`` does not tell."""
    r_waves_s: tuple[float, ...] = ()
    """All R waves from ``start_s`` on, rising, where beats differ in length; periodic only."""
    positions: tuple[tuple[float, float], ...] = ()
    """Times in s, rising, and positions 0..1 of the navigator; navigator only."""
    span: float = 1.0
    """Largest coordinate that a moment of the scan has: less than 1 where the ends of the breath, for
    functions that wrap, are no neighbours."""

    def __post_init__(self) -> None:
        if not 0 < self.duration_s < math.inf or not math.isfinite(self.start_s):
            raise DataError(
                f"a time axis from {self.start_s} s of {self.duration_s} s: expected a finite start and a "
                "positive duration; a scan of a single moment needs a field without time"
            )

    @classmethod
    def from_times(cls, times_s: ArrayLike) -> TimeAxis:
        """Plain axis that the times of the spokes (any shape) just fill.

        Raises
        ------
        DataError
            If all of them are the same, or one is not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        return cls("plain", float(times.min()), float(np.ptp(times)))

    @classmethod
    def from_r_waves(cls, r_waves_s: ArrayLike) -> TimeAxis:
        """Periodic axis from R waves (r_wave,), rising.

        A beat of several times the usual length, in which triggers were missed, counts as that many.

        Raises
        ------
        DataError
            If there are fewer than two.
        """
        seen = np.asarray(r_waves_s, dtype=np.float64)
        if len(seen) < 2:
            raise DataError(f"{len(seen)} R waves: expected two or more; take scan time as the time axis")
        usual_s = Heartbeats(seen).usual_s
        beats = np.maximum(1, np.rint(np.diff(seen) / usual_s))
        number = np.concatenate([[0], np.cumsum(beats)])
        r_waves = np.interp(np.arange(number[-1] + 1), number, seen)
        return cls("periodic", float(r_waves[0]), usual_s, tuple(r_waves.tolist()))

    @classmethod
    def from_navigator(cls, times_s: ArrayLike, positions: ArrayLike, span: float = 1.0) -> TimeAxis:
        """Axis of a navigator's positions, 0..span, at the times of the spokes (both any shape)."""
        times = np.asarray(times_s, dtype=np.float64).ravel()
        order = np.argsort(times, kind="stable")
        known = np.stack([times, np.asarray(positions, dtype=np.float64).ravel()], -1)[order]
        axis = cls.from_times(times)
        return cls(
            "navigator", axis.start_s, axis.duration_s, positions=tuple(map(tuple, known.tolist())), span=span
        )

    def of(self, times_s: ArrayLike) -> np.ndarray:
        """The coordinate of times in seconds: the same shape, float32 in 0..1.

        Raises
        ------
        DataError
            If a time lies outside the scan, unless the axis is periodic, or any is not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if not np.isfinite(times).all():
            raise DataError("a time is not finite: check the time stamps of the spokes")
        if self.kind == "periodic":
            return (self._beats(times) % 1.0).astype(np.float32)  # type: ignore[no-any-return]
        t = (times - self.start_s) / self.duration_s
        if not np.all((t >= -_TOLERANCE) & (t <= 1 + _TOLERANCE)):
            raise DataError(
                f"times from {times.min():g} s to {times.max():g} s are asked for, but the scan covers "
                f"{self.start_s:g} s to {self.start_s + self.duration_s:g} s: ask for times within it"
            )
        if self.kind == "navigator":
            known = np.array(self.positions)
            t = np.interp(times, known[:, 0], known[:, 1])
        return np.clip(t, 0, 1).astype(np.float32)  # type: ignore[no-any-return]

    def _beats(self, times: np.ndarray) -> np.ndarray:
        """Beats, with fractions, since the first R wave."""
        r_waves = np.asarray(self.r_waves_s or (self.start_s,))
        beats = np.interp(times, r_waves, np.arange(len(r_waves)))
        outside = np.minimum(times - r_waves[0], 0) + np.maximum(times - r_waves[-1], 0)
        return beats + outside / self.duration_s  # type: ignore[no-any-return]


class TemporalHarmonics(nn.Module):
    """``2 n_harmonics`` functions of t in 0..1, of up to ``n_harmonics`` cycles; no parameters.

    Periodic: ``cos(2 pi h t)``, then ``sin(2 pi h t)``, h = 1..n_harmonics, which wrap; one harmonic is what
    was published (Spieker et al., doi:10.1016/j.media.2025.103890). Plain: ``cos(pi j t)``,
    j = 1..2 n_harmonics, the basis of the discrete cosine transform, in which every t has features of its
    own and no two moments are forced to be equal.
    """

    rates: torch.Tensor

    def __init__(self, kind: Kind, n_harmonics: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_features = 2 * n_harmonics
        turns = range(1, n_harmonics + 1) if kind == "periodic" else range(1, 2 * n_harmonics + 1)
        rates = (2 if kind == "periodic" else 1) * math.pi * torch.tensor(list(turns), dtype=torch.float32)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """(...,) -> (..., function)."""
        phase = t[..., None] * self.rates
        return torch.cat([phase.cos(), phase.sin()], -1) if self.kind == "periodic" else phase.cos()


def harmonics_of(kind: AxisKind) -> Kind:
    """Which harmonics go with an axis: the ends of a breath are not neighbours."""
    return "periodic" if kind == "periodic" else "plain"


def respiratory_coordinate(navigator: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """A navigator without its drift, from 0 at its lowest to 0.5 at its highest.

    So used by Spieker et al., doi:10.1016/j.media.2025.103890. The drift is the straight line through the
    signal.

    Parameters
    ----------
    navigator, times_s
        Signal and time of the spokes, of one shape (any).

    Returns
    -------
        The same shape, float32.

    Raises
    ------
    DataError
        If the navigator is constant or not finite.
    """
    since_start = times_s - times_s.min()
    line = np.stack([np.ones(times_s.size), since_start.ravel()], -1)
    signal = np.asarray(navigator, dtype=np.float64).ravel()
    if not np.isfinite(signal).all():
        raise DataError("the navigator is not finite everywhere: leave those spokes out")
    steady = signal - line @ np.linalg.lstsq(line, signal, rcond=None)[0]
    breath = np.ptp(steady)
    if breath <= 1e-9 * np.abs(signal).max(initial=0):
        raise DataError("the navigator is constant or a straight line: fit without a respiratory coordinate")
    coordinate = RESPIRATORY_SPAN * (steady - steady.min()) / breath
    return coordinate.reshape(times_s.shape).astype(np.float32)  # type: ignore[no-any-return]


class SplineBasis(nn.Module):
    """A temporal basis known at the frames, at any time: the natural cubic spline through them.

    It evaluates a temporal subspace (frame, component) at every spoke's own time, and has no parameters.
    Before the first and after the last frame, where half of their spokes lie, it goes on as a straight line,
    as a natural spline does. A periodic one wraps, with a period of 1.

    Parameters
    ----------
    basis
        (frame, component), real.
    times
        (frame,) rising, coordinates as :meth:`TimeAxis.of` gives them.

    Raises
    ------
    DataError
        If times do not rise, are not one for each frame, or span a whole period.
    """

    knots: torch.Tensor
    coefficients: torch.Tensor

    def __init__(self, basis: np.ndarray, times: np.ndarray, *, is_periodic: bool = False) -> None:
        super().__init__()
        if times.shape != basis.shape[:1] or not np.all(np.diff(times) > 0):
            raise DataError(
                f"a basis of shape {basis.shape} with times of shape {times.shape}: expected one time for "
                "each frame, rising from frame to frame"
            )
        if is_periodic and np.ptp(times) >= 1:
            raise DataError(
                f"a periodic basis from t = {times[0]:g} to {times[-1]:g}: expected less than a period of 1, "
                "since the first frame follows the last"
            )
        self.is_periodic = is_periodic
        self.n_functions = basis.shape[1]
        knots, coefficients = _spline(basis.astype(np.float64), times.astype(np.float64), is_periodic)
        self.register_buffer("knots", torch.as_tensor(knots, dtype=torch.float32))
        self.register_buffer("coefficients", torch.as_tensor(coefficients, dtype=torch.float32))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """(...,) -> (..., component)."""
        if self.is_periodic:
            t = self.knots[1] + (t - self.knots[1]) % 1.0
        piece = torch.searchsorted(self.knots[1:], t.contiguous(), right=True)
        offset = (t - self.knots[piece])[..., None]
        cubic, square, slope, value = self.coefficients[:, piece]
        return ((cubic * offset + square) * offset + slope) * offset + value


def _spline(basis: np.ndarray, times: np.ndarray, is_periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Origins (piece,) and coefficients (power, piece, component), cubic first, of the pieces.

    The first piece is the straight line that ends at the first frame, the last the one that begins at the
    last frame.
    """
    from scipy.interpolate import CubicSpline

    if len(times) == 1:
        flat = np.zeros((4, 2, basis.shape[1]))
        flat[3] = basis
        return np.repeat(times, 2), flat
    if is_periodic:
        times, basis = np.append(times, times[0] + 1), np.vstack([basis, basis[:1]])
    spline = CubicSpline(times, basis, bc_type="periodic" if is_periodic else "natural")
    ends, straight = times[[0, -1]], np.zeros((4, 2, basis.shape[1]))
    straight[2], straight[3] = spline(ends, 1), spline(ends)
    pieces = np.concatenate([straight[:, :1], spline.c, straight[:, 1:]], axis=1)
    return np.append(times[0], times), pieces
