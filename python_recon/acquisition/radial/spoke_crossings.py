"""Gradient delays from the points where spokes cross.

Where two spokes cross all coils have measured the same values but for a common phase, whatever the object.
A gradient delay moves the crossings along the spokes, so the delay is the one that makes them agree.
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
    """(spoke,) point nearest to the centre of k-space, as a fractional sample index."""
    asides: np.ndarray
    """(spoke, 2) nominal position of that point, in samples; zero for spokes through the centre."""


def crossing_delay(spokes: Spokes, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (xx, yy, xy) of the delay's matrix, in samples, and their covariance.

    Minimises the squared difference of the values at the crossings by Gauss-Newton steps, pairs that
    disagree by much (motion) counting less. The idea, not the algorithm, is that of RING
    (doi 10.1002/mrm.27506). The covariance is infinite, and the delay zero, where the crossings determine
    none.

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
        asides = spokes.asides[last]
        starts = _crossings(directions, pairs, (asides[pairs[1]] - asides[pairs[0]])[:, None])
        rates = _crossings(directions, pairs, _moves(directions, pairs))
        crossings = _Crossings(values, pairs, (starts[0][:, 0], starts[1][:, 0]), rates)
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
    starts: tuple[np.ndarray, np.ndarray]
    """Where (pair,) either spoke is crossed without a delay, in samples from its nearest point."""
    rates: tuple[np.ndarray, np.ndarray]
    """How far (pair, parameter) a crossing moves along either spoke for each parameter of the delay."""

    def fit(self, delay: np.ndarray) -> np.ndarray:
        for _ in range(_ITERATIONS):
            hessian, gradients = self._normal_equations(delay)
            # A limited step: far from the solution the values are no linear function of the delay.
            delay = delay - np.clip(np.linalg.solve(hessian, gradients.sum((0, 1))), -0.5, 0.5)
        return delay

    def disagreement(self, delay: np.ndarray) -> float:
        """Median difference of the values at the crossings."""
        return float(np.median(np.linalg.norm(self._differences(delay)[0], axis=1)))

    def covariance(self, delay: np.ndarray) -> np.ndarray:
        """Sandwich estimate (parameter, parameter).

        Pairs that share a spoke have errors in common (motion), and so have all pairs of a coil (what
        the object does where the coil sees it).
        """
        hessian, gradients = self._normal_equations(delay)
        by_spoke = np.zeros((len(self.values), len(delay)))
        for spokes in self.pairs:
            np.add.at(by_spoke, spokes, gradients.sum(1))
        by_coil = gradients.sum(0)
        inverse = np.linalg.inv(hessian)
        covariance: np.ndarray = inverse @ (by_spoke.T @ by_spoke + by_coil.T @ by_coil) @ inverse
        return covariance

    def _normal_equations(self, delay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hessian (parameter, parameter) and the gradient (pair, coil, parameter) of each difference."""
        residual, jacobian = self._differences(delay)
        weights = _biweight(np.linalg.norm(residual, axis=1))
        weighted = jacobian.conj() * weights[:, None, None]
        hessian = np.einsum("ncp,ncq->pq", weighted, jacobian).real
        gradients = (weighted * residual[..., None]).real
        floor = 1e-9 * np.trace(hessian) + np.finfo(np.float32).tiny
        return hessian + floor * np.eye(len(delay)), gradients

    def _differences(self, delay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences (pair, coil) at the crossings and their derivatives (pair, coil, parameter).

        Eddy currents give each spoke a phase of its own: the phase that suits a pair best is taken out.
        """
        (one, slope_one), (other, slope_other) = (
            _interpolate(self.values, spokes, start + rate @ delay)
            for spokes, start, rate in zip(self.pairs, self.starts, self.rates, strict=True)
        )
        rate_one, rate_other = (rate[:, None] for rate in self.rates)
        turn = _phase((other.conj() * one).sum(1, keepdims=True))
        other, slope_other = turn * other, turn * slope_other
        jacobian = slope_one[..., None] * rate_one - slope_other[..., None] * rate_other
        return one - other, _without(1j * other, jacobian)


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


def _moves(directions: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """How (pair, parameter, 2) two spokes move apart for each parameter of the delay."""
    moves: np.ndarray = np.einsum("pij,nj->npi", _BASIS, directions[pairs[0]] - directions[pairs[1]])
    return moves


def _crossings(
    directions: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], moves: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far (pair, parameter) a crossing lies along either spoke when they are moved apart."""
    first, second = directions[pairs[0]], directions[pairs[1]]
    sine = _cross(first, second)[:, None]
    return _cross(moves, second[:, None]) / sine, _cross(moves, first[:, None]) / sine


def _interpolate(
    values: np.ndarray, spokes: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (pair, coil) and slopes per sample at positions counted in samples from the centre."""
    place = np.clip((positions + _REACH) * _FINE, 0, values.shape[-1] - 1.001)
    below = place.astype(int)
    low, high = values[spokes, :, below], values[spokes, :, below + 1]
    return low + (place - below)[:, None] * (high - low), (high - low) * _FINE


def _phase(values: np.ndarray) -> np.ndarray:
    return np.exp(1j * np.angle(values))


def _without(direction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """The derivatives (pair, coil, parameter) less their real component along a direction (pair, coil)."""
    energy = np.square(np.abs(direction)).sum(1, keepdims=True) + np.finfo(np.float32).tiny
    along = (direction.conj()[..., None] * jacobian).sum(1, keepdims=True).real
    less: np.ndarray = jacobian - (direction / energy)[..., None] * along
    return less


def _biweight(misfits: np.ndarray) -> np.ndarray:
    scale = max(float(np.median(misfits)), float(np.finfo(np.float32).tiny))
    weights: np.ndarray = np.square(np.clip(1 - np.square(misfits / (4.685 * scale)), 0, None))
    return weights
