"""Readouts out of recon data and buckets."""

from __future__ import annotations

import logging

import ismrmrd
import numpy as np
import pytest

from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.messages import AcquisitionBucket, ReconBit, ReconBuffer, ReconData
from python_recon.errors import DataError
from tests.gadgets.acquisitions import acquisition, encoding, header


def bucket_to_buffer(acquisitions, lines, repetitions):
    """Sorts readouts into a buffer as Gadgetron's BucketToBufferGadget does with N = repetition."""
    first = acquisitions[0].getHead()
    n_kept = first.number_of_samples - first.discard_pre - first.discard_post
    kept = slice(first.discard_pre, first.discard_pre + n_kept)
    data = np.zeros((n_kept, lines, 1, first.active_channels, repetitions, 1, 1), np.complex64)
    trajectory = np.zeros((first.trajectory_dimensions, n_kept, lines, 1, repetitions, 1, 1), np.float32)
    headers = np.empty((lines, 1, repetitions, 1, 1), object)
    for index in np.ndindex(headers.shape):
        headers[index] = ismrmrd.AcquisitionHeader()
    for item in acquisitions:
        line, repetition = item.idx.kspace_encode_step_1, item.idx.repetition
        data[:, line, 0, :, repetition, 0, 0] = item.data[:, kept].T
        trajectory[:, :, line, 0, repetition, 0, 0] = item.traj[kept].T
        headers[line, 0, repetition, 0, 0] = item.getHead()
    return ReconBuffer(data, headers, trajectory if trajectory.size else None)


def lines_of_a_scan(dimensions, **fields):
    rng = np.random.default_rng(8)
    items = []
    for count, (repetition, line) in enumerate([(0, 0), (0, 2), (0, 1), (1, 2), (1, 0)]):
        trajectory = rng.standard_normal((8, dimensions)).astype(np.float32) if dimensions else None
        items.append(
            acquisition(
                seed=count,
                trajectory=trajectory,
                kspace_encode_step_1=line,
                repetition=repetition,
                scan_counter=count,
                center_sample=4,
                **fields,
            )
        )
    return items


@pytest.mark.parametrize("dimensions", [0, 2, 3])
@pytest.mark.parametrize("fields", [{}, {"discard_pre": 1, "discard_post": 2}])
def test_recon_data_give_the_readouts_that_went_in(dimensions, fields):
    """In the order of acquisition, without the lines that nobody acquired."""
    items = lines_of_a_scan(dimensions, **fields)
    buffer = bucket_to_buffer(items, lines=4, repetitions=2)
    assert_same_readouts([ReconData((ReconBit(buffer),))], items)


def test_trailing_axes_of_length_one_may_be_missing():
    items = lines_of_a_scan(2)
    whole = bucket_to_buffer(items, lines=3, repetitions=2)
    cut = ReconBuffer(whole.data[..., 0, 0], whole.headers[..., 0, 0], whole.trajectory[..., 0, 0])
    assert_same_readouts([ReconData((ReconBit(cut),))], items)


def test_buckets_give_their_acquisitions_once(caplog):
    items = lines_of_a_scan(2)
    waveforms = (ismrmrd.Waveform.from_array(np.zeros((1, 3), np.uint32)),)
    with caplog.at_level(logging.INFO):
        assert_same_readouts([AcquisitionBucket(tuple(items), tuple(items[:2]), waveforms)], items)
    assert "1 waveform" in caplog.text


_CALIBRATION = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,)
_BOTH = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING,)


def lines_with_calibration():
    """Lines for images, some of which calibrate as well, and lines that only calibrate."""
    kinds = {0: (), 2: _BOTH, 3: _CALIBRATION, 4: _BOTH, 5: _CALIBRATION, 6: ()}
    items = [
        acquisition(seed=line, flags=flags, kspace_encode_step_1=line, scan_counter=line, center_sample=4)
        for line, flags in kinds.items()
    ]
    imaging = [item for item in items if item.idx.kspace_encode_step_1 not in (3, 5)]
    references = [item for item in items if item.idx.kspace_encode_step_1 in (2, 3, 4, 5)]
    return imaging, references


def _as_bucket(imaging, references):
    return AcquisitionBucket(tuple(imaging), tuple(references))


def _as_recon_data(imaging, references):
    buffers = [bucket_to_buffer(items, lines=7, repetitions=1) for items in (imaging, references)]
    return ReconData((ReconBit(*buffers),))


@pytest.mark.parametrize("message", [_as_bucket, _as_recon_data])
def test_calibration_lines_come_before_the_others_and_each_line_once(message):
    """As Gadgetron groups them: lines that image and calibrate are among the data and the references."""
    imaging, references = lines_with_calibration()
    stream = ReadoutStream([message(imaging, references)], header(encoding("cartesian")))
    got = list(stream)
    assert [readout.counters.kspace_encode_step_1 for readout in got] == [3, 5, 0, 2, 4, 6]
    assert [readout.is_calibration for readout in got] == [True, True, False, False, False, False]
    expected = {item.scan_counter: item.data for item in [*imaging, *references]}
    for readout in got:
        np.testing.assert_array_equal(readout.data, expected[readout.scan_counter])


def assert_same_readouts(messages, items):
    got, expected = list(ReadoutStream(messages, header())), list(ReadoutStream(items, header()))
    assert [readout.scan_counter for readout in got] == [readout.scan_counter for readout in expected]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.counters, one.center_sample) == (other.counters, other.center_sample)
        if other.raw_trajectory is None:
            assert one.raw_trajectory is None
        else:
            np.testing.assert_array_equal(one.raw_trajectory, other.raw_trajectory)


def test_recon_data_that_do_not_fit_together():
    buffer = bucket_to_buffer(lines_of_a_scan(2), lines=4, repetitions=2)
    broken = ReconBuffer(buffer.data, buffer.headers[:3], buffer.trajectory)
    with pytest.raises(DataError, match="do not fit together"):
        list(ReadoutStream([ReconData((ReconBit(broken),))], header()))
