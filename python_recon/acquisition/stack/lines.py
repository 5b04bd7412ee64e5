"""A Cartesian volume: one FFT along its readouts makes slices of lines along ky, one for each kz."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from python_recon.acquisition.stack.slab import (
    PARTITION,
    Axis,
    centre_of,
    normal_of,
    partition_of,
    slice_counters,
)
from python_recon.data import Geometry, Readout, Scan
from python_recon.errors import DataError

_log = logging.getLogger(__name__)

_Key = tuple[int, int, int, int, bool]
"""Slab, contrast, set and phase, and whether the lines are for coil maps only."""


@dataclass
class _Volume:
    """One frame of a volume, as far as it has come."""

    base: Readout
    sums: np.ndarray
    """(coil, kz, ky, x) complex64."""
    counts: np.ndarray
    """(kz, ky)."""
    times_s: dict[int, float] = field(default_factory=dict)
    """When the first line of each kz came."""


class CartesianVolume:
    """Takes the lines of a Cartesian volume, in any order, and gives those of its slices, frame by frame.

    A frame is complete when another repetition begins, or at the end. Lines that came several times are
    averaged. What was not measured is zero.
    """

    def __init__(self, scan: Scan) -> None:
        self._across, self._n_lines = Axis.of_partitions(scan), scan.encoded_matrix[0]
        self._along = Axis.of_readout(scan)
        self._centre = centre_of(scan, PARTITION, self._across.n_encoded)
        self._centre_line = centre_of(scan, "kspace_encode_step_1", self._n_lines)
        self._fov_mm = (scan.field_of_view_mm[1], scan.field_of_view_mm[2], self._along.step_mm)
        self._open: dict[_Key, _Volume] = {}
        self._n_beyond = 0
        self._n_given = 0

    @property
    def n_bytes(self) -> int:
        """Of frames that are not complete."""
        return sum(volume.sums.nbytes for volume in self._open.values())

    def add(self, readout: Readout) -> Iterator[Readout]:
        """Take a line; give the slices' lines of the frames that it shows to be complete."""
        _refuse_trajectory(readout)
        counters = readout.counters
        key = (
            counters.slice, counters.contrast, counters.set, counters.phase, readout.is_calibration
        )  # fmt: skip
        if any(volume.base.counters.repetition != counters.repetition for volume in self._open.values()):
            yield from self._given()
        place = partition_of(readout, self._centre, self._across)
        line = counters.kspace_encode_step_1 - self._centre_line + self._n_lines // 2
        if not 0 <= line < self._n_lines:
            self._n_beyond += 1
            return
        profile, share = _profile(readout, self._along)
        if key not in self._open:
            shape = (readout.n_coils, self._across.n_encoded, self._n_lines, self._along.n_kept)
            base = replace(readout, sample_time_us=readout.sample_time_us / share)
            self._open[key] = _Volume(base, np.zeros(shape, np.complex64), np.zeros(shape[1:3], int))
        volume = self._open[key]
        if len(volume.sums) != readout.n_coils:
            raise DataError(
                f"readout {readout.scan_counter} has {readout.n_coils} coils, others of its volume have "
                f"{len(volume.sums)}: a volume needs the same coils throughout"
            )
        volume.sums[:, place, line] += profile
        volume.counts[place, line] += 1
        volume.times_s.setdefault(place, readout.time_s)

    def finish(self) -> Iterator[Readout]:
        """Give what is left."""
        if self._n_beyond:
            _log.warning(
                "%d lines left out: their kspace_encode_step_1 lies beyond the encoded matrix of %d lines",
                self._n_beyond,
                self._n_lines,
            )
        yield from self._given()

    def _given(self) -> Iterator[Readout]:
        for key in sorted(self._open):
            yield from self._lines(self._open.pop(key))

    def _lines(self, volume: _Volume) -> Iterator[Readout]:
        means = volume.sums / np.maximum(volume.counts, 1)[..., None]
        is_there = volume.counts.any(axis=1)
        geometries = [self._geometry(volume.base.geometry, number) for number in range(self._along.n_kept)]
        for place in np.flatnonzero(is_there):
            for number, geometry in enumerate(geometries):
                counters = slice_counters(volume.base.counters, self._along.n_kept, number)
                yield replace(
                    volume.base,
                    data=np.ascontiguousarray(means[:, place, :, number]),
                    counters=replace(counters, kspace_encode_step_1=int(place), average=0, segment=0),
                    geometry=geometry,
                    center_sample=self._n_lines // 2,
                    time_s=volume.times_s[int(place)],
                    scan_counter=self._n_given,
                )
                self._n_given += 1

    def _geometry(self, geometry: Geometry, number: int) -> Geometry:
        """Of a slice across the readout: x is the phase direction, y the slice direction of the volume."""
        return replace(
            geometry,
            position_mm=self._along.place(geometry, geometry.read_dir, number),
            read_dir=geometry.phase_dir,
            phase_dir=normal_of(geometry),
            slice_dir=geometry.read_dir,
            field_of_view_mm=self._fov_mm,
        )


def _profile(readout: Readout, axis: Axis) -> tuple[np.ndarray, float]:
    """(coil, x) complex64 along the readout, oversampling cut, and the share of it that was kept.

    An asymmetric echo is filled with zeros.
    """
    n, centre = readout.n_samples, readout.center_sample
    centre = centre if 0 < centre < n - 1 else n // 2
    n_full = 2 * max(centre, n - centre)
    whole = np.zeros((readout.n_coils, n_full), np.complex64)
    whole[:, n_full // 2 - centre : n_full // 2 - centre + n] = readout.data
    x = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(whole, 1), axis=1, norm="ortho"), 1)
    if n_full < axis.n_kept:
        raise DataError(
            f"readout {readout.scan_counter} has {n} samples, the header announces {axis.n_encoded}: "
            "correct matrixSize and fieldOfView_mm of its encodedSpace"
        )
    # Samples that came without the oversampling that the header tells of need no cut.
    first, share = n_full // 2 - axis.n_kept // 2, axis.n_kept / n_full
    return np.sqrt(share) * x[:, first : first + axis.n_kept], share


def _refuse_trajectory(readout: Readout) -> None:
    if readout.raw_trajectory is not None and readout.raw_trajectory.any():
        raise DataError(
            f"the header announces a Cartesian volume, and readout {readout.scan_counter} carries a "
            "trajectory: name it in the header (radial or goldenangle: a stack of stars), or leave it out"
        )
