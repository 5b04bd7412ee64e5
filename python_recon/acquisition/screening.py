"""What is no usable readout, or no usable scan: left out or refused, and told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from python_recon.data import Readout
from python_recon.errors import DataError

logger = logging.getLogger(__name__)

_CENTRE = 1 / 16
"""Radius of what counts as the centre of k-space, relative to the end of the spoke."""
_EXCESS = 0.5
"""Energy that the centre has beyond the edge, relative to the edge, from which on there is signal."""
_CERTAINTY = 4.0
"""Standard errors from which on a smaller excess is signal, too. Chance exceeds them in one coil of 30,000;
to take noise for a signal costs an image of noise, but to take a signal for noise costs the scan."""
_COHERENCE = 0.5
"""Correlation of neighbouring samples from which on there is signal, whatever its energy."""
_FEWEST_SAMPLES = 8
"""Of a readout with a centre and an edge."""


def screen(readouts: Iterable[Readout]) -> Iterator[Readout]:
    """Pass the usable readouts on; leave out, with a warning, those without samples or with NaN or Inf.

    The first of a kind is reported when it comes, the number of all at the end of the stream.
    """
    dropped: Counter[str] = Counter()
    for readout in readouts:
        fault = _fault(readout)
        if fault is None:
            yield readout
            continue
        if not dropped[fault]:
            logger.warning("readout %d left out: %s", readout.scan_counter, fault)
        dropped[fault] += 1
    for fault, count in dropped.items():
        logger.warning("%d readouts left out in all: %s", count, fault)


def _fault(readout: Readout) -> str | None:
    if readout.data.size == 0:
        return "it holds no samples"
    if not np.isfinite(readout.data).all():
        return "its samples hold NaN or Inf"
    if readout.raw_trajectory is not None and not np.isfinite(readout.raw_trajectory).all():
        return "its trajectory holds NaN or Inf"
    return None


def refuse_noise(readouts: Iterable[Readout]) -> Iterator[Readout]:
    """Pass located readouts on; at the end, refuse a scan in which no coil has received a signal.

    Noise has the same energy at the centre of k-space as at its edge. A coil has signal where the centre
    exceeds the edge by half, or by less with certainty over all readouts, or where neighbouring samples are
    correlated, as those of a point, whose energy is as even as that of noise. One such coil is enough.

    Raises
    ------
    DataError
        If all readouts are noise.
    """
    statistics: dict[int, _CentreAndEdge] = {}
    for readout in readouts:
        if readout.n_coils not in statistics:
            statistics[readout.n_coils] = _CentreAndEdge(readout.n_coils)
        statistics[readout.n_coils].add(readout)
        yield readout
    if statistics and all(each.is_noise() for each in statistics.values()):
        n_readouts = sum(each.n_readouts for each in statistics.values())
        raise DataError(
            f"the scan holds noise only: in {n_readouts} readouts no coil has more energy at the centre of "
            "k-space than at its edge; check that the coils are plugged in and the pulses are played out, "
            "and that noise readouts carry the flag ACQ_IS_NOISE_MEASUREMENT"
        )


class _CentreAndEdge:
    """Energy of every coil at the centre of k-space and in its outer half, summed over readouts."""

    def __init__(self, n_coils: int) -> None:
        self.n_readouts = 0
        self._edge, self._excess, self._excess_squared = np.zeros((3, n_coils))
        self._energy, self._coherent = np.zeros((2, n_coils))

    def add(self, readout: Readout) -> None:
        if readout.trajectory is None or readout.n_samples < _FEWEST_SAMPLES:
            return
        radius = np.linalg.norm(readout.trajectory, axis=-1)
        innermost = np.partition(radius, 2)[2]
        energy = np.square(np.abs(readout.data), dtype=np.float64)
        edge = energy[:, radius >= radius.max() / 2].mean(-1)
        excess = energy[:, radius <= max(innermost, _CENTRE * radius.max())].mean(-1) - edge
        products = readout.data[:, 1:] * readout.data[:, :-1].conj()
        self.n_readouts += 1
        self._edge += edge
        self._excess += excess
        self._excess_squared += excess**2
        self._energy += energy.sum(-1)
        self._coherent += np.abs(products.sum(-1))

    def is_noise(self) -> bool:
        """Whether something was received, and no coil has a signal."""
        spread = np.sqrt(np.maximum(self._excess_squared - self._excess**2 / max(self.n_readouts, 1), 0))
        has_signal = (
            (self._excess > _EXCESS * self._edge)
            | (self._excess > _CERTAINTY * spread)
            | (self._coherent > _COHERENCE * self._energy)
        )
        return bool(self._energy.any() and not has_signal.any())
