"""Gradient delays from the points where spokes cross.

Where two spokes cross they have measured the same value, whatever the object and its phase. A gradient
delay moves the crossings along the spokes, so the delay is the one that makes the values agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SPOKES = 400
"""Spokes used at most: the last ones, in the steady state."""
_PAIRS = 2000
"""Pairs used at most: those closest in time, between which the object has moved least."""
_SMALLEST_SINE = 0.5
"""Spokes that cross at a smaller angle do not tell where."""
_REACH = 6
"""Samples to either side of the centre within which crossings are looked for."""
_LARGEST_DELAY = _REACH / 2
_FINE = 16
"""Interpolated values per sample; linear interpolation does the rest."""
_ITERATIONS = 12

_BASIS = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [1, 0]]], np.float64)
"""Matrices of the parameters xx, yy, xy."""


@dataclass(frozen=True)
class Spokes:
    """Single spokes in the order they were measured."""

    data: np.ndarray
    """(spoke, coil, readout)."""
    directions: np.ndarray
    """(spoke, 2), unit vectors."""
    centres: np.ndarray
    """(spoke,) nominal centre of k-space, as a fractional sample index."""


def crossing_delay(spokes: Spokes, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (xx, yy, xy) of the delay's matrix, in samples, and their covariance.

    Minimises the squared difference of the values at the crossings by Gauss-Newton steps, pairs that
    disagree by much (motion) counting less. The idea, not the algorithm, is that of RING
    (doi 10.1002/mrm.27506). The covariance counts what the pairs of one spoke have in common; it is
    infinite, and the delay zero, where the crossings determine none.

    Parameters
    ----------
    spokes
        The measured spokes.
    start
        A first estimate, in samples; zero is tried as well.
    """
    last = slice(-_SPOKES, None)
    directions = spokes.directions[last]
    pairs = _pairs(directions)
    if len(pairs[0]) >= 2 * len(_BASIS):
        values = _around_centre(spokes.data[last], spokes.centres[last])
        crossings = _Crossings(values, pairs, _crossing_rates(directions, pairs))
        delay = min(map(crossings.fit, (np.zeros(3), start)), key=crossings.disagreement)
        if np.abs(delay).max() <= _LARGEST_DELAY:
            return delay, crossings.covariance(delay)
    return np.zeros(3), np.full((3, 3), np.inf)


@dataclass(frozen=True)
class _Crossings:
    """Pairs of spokes and what they measured around the centre."""

    values: np.ndarray
    """(spoke, coil, position), finely interpolated."""
    pairs: tuple[np.ndarray, np.ndarray]
    rates: tuple[np.ndarray, np.ndarray]
    """How far (pair, parameter) a crossing moves along either spoke for each parameter of the delay."""

    def fit(self, delay: np.ndarray) -> np.ndarray:
        for _ in range(_ITERATIONS):
            hessian, gradients = self._normal_equations(delay)
            # A limited step: far from the solution the values are no linear function of the delay.
            delay = delay - np.clip(np.linalg.solve(hessian, gradients.sum(0)), -0.5, 0.5)
        return delay

    def disagreement(self, delay: np.ndarray) -> float:
        """Median difference of the values at the crossings."""
        return float(np.median(np.linalg.norm(self._differences(delay)[0], axis=1)))

    def covariance(self, delay: np.ndarray) -> np.ndarray:
        """Sandwich estimate (parameter, parameter) in which the pairs of a spoke form a cluster."""
        hessian, gradients = self._normal_equations(delay)
        by_spoke = np.zeros((len(self.values), len(delay)))
        for spokes in self.pairs:
            np.add.at(by_spoke, spokes, gradients)
        inverse = np.linalg.inv(hessian)
        covariance: np.ndarray = inverse @ (by_spoke.T @ by_spoke) @ inverse
        return covariance

    def _normal_equations(self, delay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hessian (parameter, parameter) and the gradient (pair, parameter) that each pair adds."""
        residual, jacobian = self._differences(delay)
        weights = _biweight(np.linalg.norm(residual, axis=1))
        weighted = jacobian.conj() * weights[:, None, None]
        hessian = np.einsum("ncp,ncq->pq", weighted, jacobian).real
        gradients = np.einsum("ncp,nc->np", weighted, residual).real
        floor = 1e-9 * np.trace(hessian) + np.finfo(np.float32).tiny
        return hessian + floor * np.eye(len(delay)), gradients

    def _differences(self, delay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences (pair, coil) at the crossings and their derivatives (pair, coil, parameter)."""
        (one, slope_one), (other, slope_other) = (
            _interpolate(self.values, spokes, rate @ delay)
            for spokes, rate in zip(self.pairs, self.rates, strict=True)
        )
        rate_one, rate_other = (rate[:, None] for rate in self.rates)
        return one - other, slope_one[..., None] * rate_one - slope_other[..., None] * rate_other


def _pairs(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(len(directions), 1)
    crosses = np.abs(_cross(directions[first], directions[second])) >= _SMALLEST_SINE
    first, second = first[crosses], second[crosses]
    closest = np.argsort(second - first, kind="stable")[:_PAIRS]
    return first[closest], second[closest]


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    sine: np.ndarray = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return sine


def _around_centre(data: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Band-limited interpolation (spoke, coil, position) around each centre."""
    offsets = np.arange(-_REACH * _FINE, _REACH * _FINE + 1) / _FINE
    samples = np.arange(data.shape[-1])[:, None]
    kinds, kind = np.unique(centres.round(3), return_inverse=True)
    kernels = [np.sinc(centre + offsets - samples).astype(np.float32) for centre in kinds]
    return np.stack([spoke @ kernels[index] for spoke, index in zip(data, kind.ravel(), strict=True)])


def _crossing_rates(
    directions: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    first, second = directions[pairs[0]], directions[pairs[1]]
    apart = np.einsum("pij,nj->npi", _BASIS, first - second)
    sine = _cross(first, second)[:, None]
    return _cross(apart, second[:, None]) / sine, _cross(apart, first[:, None]) / sine


def _interpolate(
    values: np.ndarray, spokes: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (pair, coil) and slopes per sample at positions counted in samples from the centre."""
    place = np.clip((positions + _REACH) * _FINE, 0, values.shape[-1] - 1.001)
    below = place.astype(int)
    low, high = values[spokes, :, below], values[spokes, :, below + 1]
    return low + (place - below)[:, None] * (high - low), (high - low) * _FINE


def _biweight(misfits: np.ndarray) -> np.ndarray:
    scale = max(float(np.median(misfits)), float(np.finfo(np.float32).tiny))
    weights: np.ndarray = np.square(np.clip(1 - np.square(misfits / (4.685 * scale)), 0, None))
    return weights
