"""Acquisitions and waveforms out of the messages in which Gadgetron groups them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import ismrmrd
import numpy as np

from gadgets.wire.messages import AcquisitionBucket, ReconBuffer, ReconData
from python_recon.errors import DataError

_CALIBRATION = 1 << (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION - 1)
_AND_IMAGING = 1 << (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING - 1)


def unpacked(items: Iterable[Any], others: Counter[str]) -> Iterator[ismrmrd.Acquisition | ismrmrd.Waveform]:
    """The acquisitions and waveforms among a stream's items, those of recon data and buckets unpacked.

    Whatever else there is is counted in ``others``.

    Raises
    ------
    DataError
        Where headers, data and trajectory of recon data do not fit together.
    """
    for item in items:
        if isinstance(item, ismrmrd.Acquisition | ismrmrd.Waveform):
            yield item
        elif isinstance(item, AcquisitionBucket):
            yield from item.waveforms
            yield from filter(_is_calibration_only, item.references)
            yield from item.acquisitions
        elif isinstance(item, ReconData):
            for bit in item.bits:
                yield from _calibration_only(bit.reference)
                yield from _acquisitions_of(bit.data)
        else:
            others[type(item).__name__.lower()] += 1


def _calibration_only(reference: ReconBuffer | None) -> Iterator[ismrmrd.Acquisition]:
    """Readouts that the reference holds alone; those that image as well are among the data."""
    if reference is not None:
        yield from filter(_is_calibration_only, _acquisitions_of(reference))


def _is_calibration_only(acquisition: ismrmrd.Acquisition) -> bool:
    return bool(acquisition.flags & _CALIBRATION) and not acquisition.flags & _AND_IMAGING


def _acquisitions_of(buffer: ReconBuffer) -> list[ismrmrd.Acquisition]:
    """The readouts of a buffer in the order they were acquired; lines that no readout filled are left out.

    The samples of a buffer are trimmed already where its lines are shorter than the headers say.
    """
    data = _with_axes(buffer.data, 7)
    trajectory = None if buffer.trajectory is None else _with_axes(buffer.trajectory, 7)
    headers = _with_axes(buffer.headers, 5)
    if data.shape[1:3] + data.shape[4:] != headers.shape or (
        trajectory is not None and trajectory.shape[1:] != data.shape[:3] + data.shape[4:]
    ):
        raise DataError(
            f"recon data do not fit together: data {buffer.data.shape}, headers {buffer.headers.shape}, "
            f"trajectory {None if trajectory is None else buffer.trajectory.shape}"
        )
    lines = [index for index in np.ndindex(headers.shape) if headers[index].number_of_samples]
    lines.sort(key=lambda index: _when(headers[index], index))
    return [_line(headers[index], data, trajectory, index) for index in lines]


def _when(head: ismrmrd.AcquisitionHeader, index: tuple[int, ...]) -> tuple[int, ...]:
    return head.acquisition_time_stamp, head.scan_counter, *reversed(index)


def _line(
    head: ismrmrd.AcquisitionHeader, data: np.ndarray, trajectory: np.ndarray | None, index: tuple[int, ...]
) -> ismrmrd.Acquisition:
    head = ismrmrd.AcquisitionHeader.from_buffer_copy(head)
    n_kept = head.number_of_samples - head.discard_pre - head.discard_post
    if len(data) != head.number_of_samples:
        head.center_sample = max(head.center_sample - head.discard_pre, 0)
        head.discard_pre = head.discard_post = 0
        head.number_of_samples = min(max(n_kept, 0), len(data))
    samples = data[(slice(head.number_of_samples), *index[:2], slice(None), *index[2:])].T
    head.active_channels = samples.shape[0]
    head.trajectory_dimensions = 0 if trajectory is None else len(trajectory)
    if trajectory is not None:
        trajectory = np.ascontiguousarray(trajectory[(slice(None), slice(head.number_of_samples), *index)].T)
    return ismrmrd.Acquisition(head, np.ascontiguousarray(samples), trajectory)


def _with_axes(array: np.ndarray, n_axes: int) -> np.ndarray:
    """Leading axes kept; C++ leaves trailing axes of length one away."""
    return array.reshape(array.shape + (1,) * (n_axes - array.ndim), order="F")
