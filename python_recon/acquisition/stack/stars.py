"""A stack of stars: one FFT along its partitions makes the spokes of slices."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from python_recon.acquisition.stack.slab import (
    PARTITION,
    Axis,
    centre_of,
    normal_of,
    partition_of,
    slice_counters,
)
from python_recon.data import Readout, Scan
from python_recon.errors import DataError

_ALIKE = 0.01
"""By how much spokes of one stack may miss each other, relative to their length."""
_log = logging.getLogger(__name__)

_Stack = dict[int, Readout]
"""The readouts of one spoke, by their place along kz."""


class StackOfStars:
    """Takes the readouts of a stack of stars, in any order, and gives those of its slices.

    The n-th readout of a partition with the same counters belongs to the n-th stack with these. A stack is
    transformed as soon as the partitions that the header's limits announce are there. What is left at the end
    is judged by what all stacks lack: edges of kz are filled with zeros (partial Fourier), with a warning. A
    stack that lacks what others have is left out, with a warning.
    """

    def __init__(self, scan: Scan) -> None:
        self._axis = Axis.of_partitions(scan)
        self._centre = centre_of(scan, PARTITION, self._axis.n_encoded)
        self._n_announced = scan.limits[PARTITION] + 1
        self._open: dict[Hashable, _Stack] = {}
        self._seen: Counter[Hashable] = Counter()
        self._numbers: dict[Hashable, int] = {}
        self._n_complete = 0
        self._is_partial_told = False
        self.n_bytes = 0
        """Of readouts that wait for the others of their stack."""

    def add(self, readout: Readout) -> Iterator[Readout]:
        """Take a readout; give the slices' readouts of the stack that it completes."""
        place = partition_of(readout, self._centre, self._axis)
        counters = replace(readout.counters, kspace_encode_step_2=0, segment=0)
        alike = counters, readout.data.shape, readout.is_calibration
        self._seen[alike, place] += 1
        key = alike, self._seen[alike, place]
        stack = self._open.setdefault(key, {})
        self._numbers.setdefault(key, len(self._numbers))
        stack[place] = readout
        self.n_bytes += readout.data.nbytes
        if len(stack) == self._n_announced:
            self._n_complete += 1
            yield from self._transformed(key)

    def finish(self) -> Iterator[Readout]:
        """Give what can be made of the stacks that are left.

        Raises
        ------
        DataError
            If the same partitions within kz are missing in all stacks.
        """
        stacks = list(self._open)
        if not self._n_complete and stacks:
            measured = frozenset().union(*(self._open[key] for key in stacks))
            self._check_kz(measured)
            for key in stacks:
                if len(self._open[key]) == len(measured):
                    yield from self._transformed(key)
        if self._open:
            lost = next(iter(self._open.values()))
            _log.warning(
                "%d spokes are left out: they lack partitions that others have, as readout %d, of whose "
                "spoke %d partitions came",
                len(self._open),
                next(iter(lost.values())).scan_counter,
                len(lost),
            )
        self._open.clear()
        self.n_bytes = 0

    def _check_kz(self, measured: frozenset[int]) -> None:
        """Whether what all stacks lack lies at the edges of kz."""
        n = self._axis.n_encoded
        first, last = min(measured), max(measured)
        missing = sorted(set(range(first, last + 1)) - measured)
        if missing or not first <= n // 2 <= last:
            lack = f"number {missing[0]} in none of the spokes" if missing else "none at the centre of kz"
            raise DataError(
                f"kz is not fully sampled: of {n} partitions {len(measured)} came, {lack}; slices would "
                "fold. Complete kz upstream, or correct the header's encodingLimits"
            )

    def _tell_partial(self, n_measured: int) -> None:
        if n_measured < self._axis.n_encoded and not self._is_partial_told:
            self._is_partial_told = True
            _log.warning(
                "%d of %d partitions were measured: the others, at the edge of kz, are taken to be zero, and "
                "slices are blurred across",
                n_measured,
                self._axis.n_encoded,
            )

    def _transformed(self, key: Hashable) -> Iterator[Readout]:
        stack = self._open.pop(key)
        self.n_bytes -= sum(readout.data.nbytes for readout in stack.values())
        self._tell_partial(len(stack))
        base = stack[min(stack, key=lambda place: abs(place - self._axis.n_encoded // 2))]
        _check_angles(list(stack.values()), base)
        slices = _transform(stack, self._axis)
        normal = normal_of(base.geometry)
        share = len(stack) / self._axis.n_encoded
        flat = replace(base, raw_trajectory=_flat(base), sample_time_us=base.sample_time_us / share)
        for number, data in enumerate(slices):
            position = self._axis.place(base.geometry, normal, number)
            fov = (*base.geometry.field_of_view_mm[:2], self._axis.step_mm)
            yield replace(
                flat,
                data=data,
                counters=slice_counters(base.counters, self._axis.n_kept, number),
                geometry=replace(base.geometry, position_mm=position, field_of_view_mm=fov),
                scan_counter=self._numbers[key] * self._axis.n_kept + number,
            )


def _transform(stack: Mapping[int, Readout], axis: Axis) -> np.ndarray:
    """(slice, coil, readout) complex64 of one spoke; what is missing along kz is zero."""
    first = next(iter(stack.values()))
    kz = np.zeros((axis.n_encoded, *first.data.shape), np.complex64)
    for place, readout in stack.items():
        kz[place] = readout.data
    z = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kz, 0), axis=0, norm="ortho"), 0)
    return z[axis.kept].astype(np.complex64)


def _flat(readout: Readout) -> np.ndarray | None:
    """The embedded trajectory without kz, where that is constant."""
    raw = readout.raw_trajectory
    if raw is None or raw.ndim != 2 or raw.shape[1] != 3:
        return raw
    is_level = np.ptp(raw[:, 2]) <= _ALIKE * np.abs(raw[:, :2]).max(initial=0)
    return np.ascontiguousarray(raw[:, :2]) if is_level else raw


def _check_angles(readouts: Sequence[Readout], base: Readout) -> None:
    """Raise DataError where the spokes of a stack do not lie upon each other."""
    for readout in readouts:
        ours, theirs = readout.raw_trajectory, base.raw_trajectory
        if (ours is None) != (theirs is None):
            raise DataError(
                f"readout {readout.scan_counter} and readout {base.scan_counter} are of one spoke, and only "
                "one of them carries a trajectory: embed it in all, or in none"
            )
        if ours is None or theirs is None:
            continue
        apart = np.abs(ours[:, :2] - theirs[:, :2]).max(initial=0)
        if apart > _ALIKE * np.abs(theirs[:, :2]).max(initial=0):
            raise DataError(
                f"the partitions of a spoke have different angles (readouts {base.scan_counter} and "
                f"{readout.scan_counter}): rotated stacks of stars, and three-dimensional radial "
                "trajectories, are not supported; expected is the same angle in all partitions"
            )
