"""Prewhitening of the coils with the noise scan."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from python_recon.acquisition.screening import screen
from python_recon.config import NoiseConfig
from python_recon.data import NoiseLevel, Readout, Scan
from python_recon.errors import DataError

logger = logging.getLogger(__name__)

_SAMPLES_PER_COIL = 4
"""Noise samples a coil below which a covariance is not worth using."""
_WHITE = NoiseLevel(1.0, is_measured=True)
_SMALLEST_EIGENVALUE = 1e-6
"""Relative to the largest: below, a combination of coils counts as without noise (a dead channel)."""


def whiten(readouts: Iterable[Readout], scan: Scan, config: NoiseConfig) -> Iterator[Readout]:
    """Imaging readouts with uncorrelated noise of standard deviation 1 in real and in imaginary part.

    The noise readouts that come before the first imaging readout give the covariance; none is passed
    on. Readouts that :func:`~python_recon.acquisition.screening.screen` refuses are left out first.
    Without a usable noise scan the readouts pass as they are, with a warning.

    Whitening: Hansen and Kellman, doi 10.1002/jmri.24687; scaling by dwell time and bandwidth: Kellman
    and McVeigh, doi 10.1002/mrm.20713.

    Raises
    ------
    DataError
        When the stream ends without one usable imaging readout although something had come.
    """
    received = _Received(readouts)
    noise = _NoiseSamples()
    whitener: _Whitener | None = None
    for readout in screen(received):
        if readout.is_noise:
            noise.add(readout, is_late=whitener is not None)
            continue
        if whitener is None:
            whitener = noise.whitener(scan.noise_bandwidth_ratio, config)
        yield whitener.apply(readout)
    if whitener is None and received.count:
        raise DataError(
            f"the scan holds only noise readouts ({noise.n_readouts}) or unusable ones "
            f"({received.count - noise.n_readouts}), and no imaging readout: send the imaging data too"
        )


class _Received:
    """Counts what a stream delivers."""

    def __init__(self, readouts: Iterable[Readout]) -> None:
        self._readouts = readouts
        self.count = 0

    def __iter__(self) -> Iterator[Readout]:
        for readout in self._readouts:
            self.count += 1
            yield readout


@dataclass(frozen=True)
class _Whitener:
    """Applies a whitening matrix to the readouts that fit it."""

    matrix: np.ndarray | None
    """(coil, coil) for noise of variance 1 at the noise scan's dwell time; None: nothing is done."""
    dwell_time_us: float = 0.0
    bandwidth_ratio: float = 1.0
    _refused: set[int] = field(default_factory=set)
    """Coil counts already complained of."""

    def apply(self, readout: Readout) -> Readout:
        if self.matrix is None:
            return readout
        if readout.n_coils != len(self.matrix):
            if readout.n_coils not in self._refused:
                logger.warning(
                    "readouts of %d coils are not whitened: the noise scan has %d coils",
                    readout.n_coils,
                    len(self.matrix),
                )
                self._refused.add(readout.n_coils)
            return readout
        matrix = (self._scale(readout.sample_time_us) * self.matrix).astype(np.complex64)
        return replace(readout, data=matrix @ readout.data, noise=_WHITE)

    def _scale(self, dwell_time_us: float) -> float:
        # The factor 2 makes the variance 1 in each of the two parts. A longer dwell time lets less noise
        # in than the noise scan saw, and the receiver's filter passed only a part of the noise scan's.
        if not (dwell_time_us > 0 and self.dwell_time_us > 0):
            return 2**0.5
        return float((2 * dwell_time_us / self.dwell_time_us * self.bandwidth_ratio) ** 0.5)


class _NoiseSamples:
    """Sums up the noise readouts."""

    def __init__(self) -> None:
        self.n_readouts = 0
        self._n_samples = 0
        self._dwell_time_us = 0.0
        self._products = np.zeros((0, 0), np.complex128)

    def add(self, readout: Readout, *, is_late: bool) -> None:
        self.n_readouts += 1
        if is_late:
            logger.warning("noise readout %d ignored: imaging has begun", readout.scan_counter)
            return
        if self._n_samples and len(self._products) != readout.n_coils:
            logger.warning(
                "noise scan changes from %d to %d coils: starting it anew",
                len(self._products),
                readout.n_coils,
            )
        if len(self._products) != readout.n_coils:
            self._products = np.zeros((readout.n_coils, readout.n_coils), np.complex128)
            self._n_samples = 0
        data = readout.data.astype(np.complex128)
        self._products += data @ data.conj().T
        self._n_samples += readout.n_samples
        self._dwell_time_us = readout.sample_time_us

    def whitener(self, bandwidth_ratio: float, config: NoiseConfig) -> _Whitener:
        if not config.prewhiten or not self._is_enough():
            return _Whitener(None)
        matrix = _whitening_matrix(self._products / self._n_samples)
        logger.info("prewhitening %d coils with %d noise samples", len(self._products), self._n_samples)
        return _Whitener(matrix, self._dwell_time_us, bandwidth_ratio if bandwidth_ratio > 0 else 1.0)

    def _is_enough(self) -> bool:
        if not self._n_samples:
            logger.info("no noise scan came: the data are not whitened")
            return False
        needed = _SAMPLES_PER_COIL * len(self._products)
        if self._n_samples < needed:
            logger.warning(
                "the noise scan has %d samples, at least %d are needed for %d coils: not whitened",
                self._n_samples,
                needed,
                len(self._products),
            )
        return self._n_samples >= needed


def _whitening_matrix(covariance: np.ndarray) -> np.ndarray | None:
    """Inverse Cholesky factor; combinations of coils without noise get the mean noise of the others."""
    values, vectors = np.linalg.eigh(covariance)
    is_noisy = values > _SMALLEST_EIGENVALUE * values[-1]
    if values[-1] <= 0:
        logger.warning("the noise scan holds only zeros: the data are not whitened")
        return None
    if not is_noisy.all():
        logger.warning(
            "the noise covariance is singular (%d of %d coils carry independent noise): regularised",
            is_noisy.sum(),
            len(values),
        )
        values = np.where(is_noisy, values, values[is_noisy].mean())
        covariance = (vectors * values) @ vectors.conj().T
    return np.linalg.inv(np.linalg.cholesky(covariance))
