"""From ISMRMRD items to the Readouts of a Scan."""

from __future__ import annotations

import itertools
import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd import constants

from gadgets.translate.clock import TICK_S, DayClock
from gadgets.translate.flags import NOISE, NOT_IMAGING, mask
from gadgets.translate.scan_header import scan_from
from gadgets.translate.waveforms import waveform_from
from gadgets.wire.backlog import Backlog, bytes_of
from gadgets.wire.buffers import unpacked
from python_recon.acquisition.gating.physiology_record import PhysiologyRecord
from python_recon.acquisition.stack.slab import is_volume, slice_scan
from python_recon.acquisition.stack.volume import slices_of
from python_recon.data import Counters, Geometry, Readout, Scan, Vector
from python_recon.errors import DataError

_GRIDS = ("cartesian", "epi")
_RADIAL_KINDS = ("radial", "goldenangle")
_log = logging.getLogger(__name__)

_REVERSE = mask(constants.ACQ_IS_REVERSE)
_CALIBRATION = mask(constants.ACQ_IS_PARALLEL_CALIBRATION)
_CALIBRATION_ONLY = "calibration only"
_JOINING = ("embedded", "interleaved")
"""Modes of parallel imaging whose calibration lines are measured with the others, and serve images too."""
_CALIBRATION_AND_IMAGING = mask(constants.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)


class ReadoutStream:
    """The readouts of the radial encoding space among a stream's items, and what the header says of it.

    The items are acquisitions, recon data or buckets; others are passed by. Left out are readouts that do
    not image (their flags say so), are empty, or belong to another encoding space; noise readouts are
    kept. Those of a volume are made into those of its slices, which ``scan`` describes. ``skipped`` counts
    what is left out, by reason, and is logged at the end. Waveforms that come between the
    readouts are gathered in ``physiology``, and as they came in ``waveforms``, for who hands them on and
    takes them from there. ``kept`` tells how much of the stream is in memory.

    Raises
    ------
    DataError
        Where the header does not describe the encoding space; at the end, where no readout imaged.
    """

    def __init__(
        self, items: Iterable[Any], header: ismrmrd.xsd.ismrmrdHeader, backlog: Backlog | None = None
    ) -> None:
        self._backlog = backlog or Backlog()
        self.kept = self._backlog.kept
        self.skipped: Counter[str] = Counter()
        self.measurement_uid = 0
        self.n_readouts = 0
        self.physiology = PhysiologyRecord()
        self.waveforms: deque[ismrmrd.Waveform] = deque()
        self._n_noise = self._n_waveforms = 0
        self._are_handed_on = True
        self._clock = DayClock()
        self._acquisitions = self._without_waveforms(unpacked(items, self.skipped))
        self._encoding_space, waiting = self._find_encoding_space(header)
        self._acquisitions = itertools.chain(waiting, self._acquisitions)
        self._volume = scan_from(header, self._encoding_space)
        self.scan = slice_scan(self._volume)
        self._calibration_images = _calibration_mode(header, self._encoding_space) in _JOINING

    @property
    def is_volume(self) -> bool:
        """Whether the slices are made of the partitions of a volume."""
        return is_volume(self._volume)

    def __iter__(self) -> Iterator[Readout]:
        return slices_of(self._readouts(), self._volume, self.kept)

    def _readouts(self) -> Iterator[Readout]:
        for acquisition in self._acquisitions:
            reason = self._why_not(acquisition)
            if reason:
                self.skipped[reason] += 1
                continue
            self.measurement_uid = self.measurement_uid or acquisition.measurement_uid
            self.n_readouts += 1
            self._n_noise += bool(acquisition.flags & NOISE)
            readout = readout_from(acquisition, self._volume)
            if not self._calibration_images and _purpose(acquisition) == _CALIBRATION_ONLY:
                readout = replace(readout, is_calibration=True)
            time_s = self._clock.seconds(acquisition.acquisition_time_stamp)
            yield replace(readout, time_s=time_s, arrived_s=self._backlog.taken_arrived_s)
        self._conclude()

    def _without_waveforms(
        self, items: Iterable[ismrmrd.Acquisition | ismrmrd.Waveform]
    ) -> Iterator[ismrmrd.Acquisition]:
        for item in items:
            if isinstance(item, ismrmrd.Acquisition):
                yield item
                continue
            if self._are_handed_on:
                self.waveforms.append(item)
            waveform = waveform_from(item, self._clock)
            if waveform is None:
                self.skipped[f"waveform of unknown id {item.waveform_id} or without samples"] += 1
                continue
            self._n_waveforms += 1
            self.physiology.add(waveform)

    def drop_waveforms(self) -> None:
        """Nobody hands waveforms on: those that tell nothing are not kept."""
        self._are_handed_on = False
        self.waveforms.clear()

    def _conclude(self) -> None:
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common()) or "nothing"
        if self.n_readouts == self._n_noise:
            raise DataError(
                f"the stream holds no imaging readouts: {self._n_noise} are noise, left out were: {left_out}"
            )
        _log.info(
            "%d readouts, %d of them noise; %d waveforms; left out: %s",
            self.n_readouts,
            self._n_noise,
            self._n_waveforms,
            left_out,
        )

    def _find_encoding_space(
        self, header: ismrmrd.xsd.ismrmrdHeader
    ) -> tuple[int, list[ismrmrd.Acquisition]]:
        """The radial space; among several, or none so called, the one that images first."""
        kinds = [str(getattr(encoding.trajectory, "value", "")) for encoding in header.encoding]
        radial = [index for index, kind in enumerate(kinds) if kind in _RADIAL_KINDS]
        if len(kinds) < 2 or len(radial) == 1:
            return (radial or [0])[0], []
        waiting: list[ismrmrd.Acquisition] = []
        n_bytes = 0
        with self.kept.counting(lambda: n_bytes):
            for acquisition in self._acquisitions:
                waiting.append(acquisition)
                n_bytes += bytes_of(acquisition)
                space = acquisition.encoding_space_ref
                is_imaging = not acquisition.flags & NOISE and not _purpose(acquisition)
                if is_imaging and space in (radial or range(len(kinds))):
                    return space, waiting
        return (radial or [0])[0], waiting

    def _why_not(self, acquisition: ismrmrd.Acquisition) -> str:
        if acquisition.number_of_samples <= acquisition.discard_pre + acquisition.discard_post:
            return "without samples"
        if acquisition.active_channels == 0:
            return "without channels"
        if acquisition.flags & NOISE:
            return ""
        space = acquisition.encoding_space_ref
        if space != self._encoding_space:
            return f"encoding space {space}"
        purpose = _purpose(acquisition)
        return "" if purpose == _CALIBRATION_ONLY and self.scan.trajectory_kind in _GRIDS else purpose


def _calibration_mode(header: ismrmrd.xsd.ismrmrdHeader, encoding_space: int) -> str:
    parallel = header.encoding[encoding_space].parallelImaging
    mode = getattr(parallel, "calibrationMode", None)
    return str(getattr(mode, "value", mode))


def _purpose(acquisition: ismrmrd.Acquisition) -> str:
    """What a readout was acquired for, where it was not for an image."""
    flags = acquisition.flags
    if flags & _CALIBRATION and not flags & _CALIBRATION_AND_IMAGING:
        return _CALIBRATION_ONLY
    return next((purpose for purpose, bits in NOT_IMAGING.items() if flags & bits), "")


def readout_from(acquisition: ismrmrd.Acquisition, scan: Scan) -> Readout:
    """One acquisition as a Readout, trimmed and in forward order; its ``origin`` is the header."""
    head = acquisition.getHead()
    kept = slice(head.discard_pre, head.number_of_samples - head.discard_post)
    data = np.asarray(acquisition.data, np.complex64)[:, kept]
    center = min(max(head.center_sample - head.discard_pre, 0), data.shape[1] - 1)
    trajectory = np.asarray(acquisition.traj, np.float32)[kept] if head.trajectory_dimensions else None
    is_turned = bool(head.flags & _REVERSE) and trajectory is None
    if is_turned:
        data, center = np.ascontiguousarray(data[:, ::-1]), data.shape[1] - 1 - center
    return Readout(
        data=data,
        counters=_counters(head.idx),
        geometry=_geometry(head, scan),
        center_sample=center,
        sample_time_us=head.sample_time_us,
        time_s=head.acquisition_time_stamp * TICK_S,
        physiology_s=_vector(stamp * TICK_S for stamp in head.physiology_time_stamp),
        scan_counter=head.scan_counter,
        user_float=tuple(head.user_float),
        channel_mask=tuple(head.channel_mask),
        is_noise=bool(head.flags & NOISE),
        is_reversed=is_turned,
        raw_trajectory=trajectory,
        origin=head,
    )


def _counters(idx: Any) -> Counters:
    return Counters(
        idx.kspace_encode_step_1,
        idx.kspace_encode_step_2,
        idx.average,
        idx.slice,
        idx.contrast,
        idx.phase,
        idx.repetition,
        idx.set,
        idx.segment,
    )


def _geometry(head: ismrmrd.AcquisitionHeader, scan: Scan) -> Geometry:
    return Geometry(
        position_mm=_vector(head.position),
        read_dir=_vector(head.read_dir),
        phase_dir=_vector(head.phase_dir),
        slice_dir=_vector(head.slice_dir),
        table_position_mm=_vector(head.patient_table_position),
        field_of_view_mm=scan.field_of_view_mm,
    )


def _vector(numbers: Iterable[float]) -> Vector:
    x, y, z = numbers
    return x, y, z
