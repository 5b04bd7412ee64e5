"""ISMRMRD items to Readouts."""

from __future__ import annotations

import logging

import ismrmrd
import numpy as np
import pytest
from ismrmrd import constants

from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.messages import Text
from python_recon.errors import DataError
from tests.gadgets.acquisitions import acquisition, encoding, header


def only(items, head=None):
    (readout,) = ReadoutStream(items, head or header())
    return readout


def test_the_fields_of_a_readout():
    sent = acquisition(
        scan_counter=5,
        acquisition_time_stamp=400,
        physiology_time_stamp=(20, 0, 4),
        sample_time_us=2.5,
        center_sample=3,
        position=(1, 2, 3),
        read_dir=(0, 1, 0),
        phase_dir=(0, 0, 1),
        slice_dir=(1, 0, 0),
        patient_table_position=(0, 0, -50),
        user_float=tuple(range(8)),
        kspace_encode_step_1=9,
        slice=2,
        contrast=1,
        phase=3,
        repetition=4,
        set=1,
        segment=6,
        average=7,
    )
    readout = only([sent])
    np.testing.assert_array_equal(readout.data, sent.data)
    assert readout.data.dtype == np.complex64
    assert readout.counters.kspace_encode_step_1 == 9
    assert (readout.counters.slice, readout.counters.contrast, readout.counters.phase) == (2, 1, 3)
    assert (readout.counters.repetition, readout.counters.set) == (4, 1)
    assert (readout.counters.segment, readout.counters.average) == (6, 7)
    assert readout.geometry.position_mm == (1, 2, 3)
    assert readout.geometry.read_dir == (0, 1, 0)
    assert readout.geometry.phase_dir == (0, 0, 1)
    assert readout.geometry.table_position_mm == (0, 0, -50)
    assert readout.geometry.field_of_view_mm == (300, 200, 7)
    assert readout.time_s == pytest.approx(1.0)
    assert readout.physiology_s == pytest.approx((0.05, 0, 0.01))
    assert (readout.scan_counter, readout.sample_time_us, readout.center_sample) == (5, 2.5, 3)
    assert readout.user_float == tuple(range(8))
    assert readout.raw_trajectory is None
    assert not readout.is_noise
    assert not readout.is_reversed


def test_discarded_samples_go_from_samples_and_trajectory():
    trajectory = np.arange(16, dtype=np.float32).reshape(8, 2)
    sent = acquisition(trajectory=trajectory, discard_pre=2, discard_post=1, center_sample=4)
    readout = only([sent])
    np.testing.assert_array_equal(readout.data, sent.data[:, 2:7])
    np.testing.assert_array_equal(readout.raw_trajectory, trajectory[2:7])
    assert readout.center_sample == 2


def test_reversed_readouts_are_turned():
    sent = acquisition(flags=[constants.ACQ_IS_REVERSE], discard_pre=3, center_sample=5)
    readout = only([sent])
    np.testing.assert_array_equal(readout.data, sent.data[:, :2:-1])
    assert readout.center_sample == 2
    assert readout.data[0, readout.center_sample] == sent.data[0, 5]
    assert readout.is_reversed


def test_reversed_readouts_with_a_trajectory_are_left_alone():
    trajectory = np.linspace(1, -1, 16, dtype=np.float32).reshape(8, 2)
    sent = acquisition(flags=[constants.ACQ_IS_REVERSE], trajectory=trajectory, center_sample=5)
    readout = only([sent])
    np.testing.assert_array_equal(readout.data, sent.data)
    np.testing.assert_array_equal(readout.raw_trajectory, trajectory)
    assert readout.center_sample == 5
    assert not readout.is_reversed


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([constants.ACQ_IS_DUMMYSCAN_DATA], "dummy"),
        ([constants.ACQ_IS_NAVIGATION_DATA, constants.ACQ_IS_RTFEEDBACK_DATA], "navigator"),
        ([constants.ACQ_IS_RTFEEDBACK_DATA], "navigator"),
        ([constants.ACQ_IS_HPFEEDBACK_DATA], "navigator"),
        ([constants.ACQ_IS_PHASECORR_DATA], "phase correction"),
        ([constants.ACQ_IS_PARALLEL_CALIBRATION], "calibration only"),
        ([constants.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA], "surface coil"),
    ],
)
def test_readouts_that_do_not_image_are_left_out_and_counted(flags, reason, caplog):
    items = [acquisition(flags=flags), acquisition(flags=flags), acquisition(scan_counter=7)]
    with caplog.at_level(logging.INFO):
        assert only(items).scan_counter == 7
    assert "2 " + reason in caplog.text


@pytest.mark.parametrize(
    "flags",
    [
        [],
        [constants.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING],
        [constants.ACQ_IS_PARALLEL_CALIBRATION, constants.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING],
        [constants.ACQ_LAST_IN_REPETITION, constants.ACQ_LAST_IN_MEASUREMENT],
    ],
)
def test_readouts_that_image_are_kept(flags):
    assert only([acquisition(flags=flags)]).n_samples == 8


def test_noise_is_marked_and_belongs_to_every_encoding_space():
    noise = acquisition(flags=[constants.ACQ_IS_NOISE_MEASUREMENT], encoding_space_ref=1)
    got = list(ReadoutStream([noise, acquisition()], header()))
    assert [readout.is_noise for readout in got] == [True, False]


@pytest.mark.parametrize("fields", [{"discard_pre": 5, "discard_post": 3}, {"discard_post": 9}])
def test_readouts_without_samples_are_left_out(fields):
    assert only([acquisition(**fields), acquisition(scan_counter=1)]).scan_counter == 1


def test_waveforms_and_texts_are_passed_by(caplog):
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 3), np.uint32))
    with caplog.at_level(logging.INFO):
        only([waveform, Text("hello"), acquisition(), waveform])
    assert "2 waveform" in caplog.text


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([], "0 are noise, left out were: nothing"),
        ([acquisition(flags=[constants.ACQ_IS_NOISE_MEASUREMENT])] * 3, "3 are noise"),
        ([acquisition(flags=[constants.ACQ_IS_DUMMYSCAN_DATA])] * 2, "2 dummy"),
    ],
)
def test_streams_without_imaging_readouts(items, match):
    with pytest.raises(DataError, match=match):
        list(ReadoutStream(items, header()))


def test_the_radial_encoding_space_is_taken(caplog):
    head = header(encoding("cartesian", x=64), encoding("radial"))
    items = [
        acquisition(encoding_space_ref=0),
        acquisition(encoding_space_ref=1, scan_counter=3),
        acquisition(encoding_space_ref=0),
    ]
    stream = ReadoutStream(items, head)
    assert stream.scan.matrix == (96, 128)
    with caplog.at_level(logging.INFO):
        (readout,) = stream
    assert readout.scan_counter == 3
    assert "2 encoding space 0" in caplog.text


def test_of_several_radial_spaces_the_first_that_images_is_taken():
    head = header(encoding("radial", x=64), encoding("radial", x=80))
    items = [
        acquisition(flags=[constants.ACQ_IS_NOISE_MEASUREMENT], encoding_space_ref=0),
        acquisition(flags=[constants.ACQ_IS_DUMMYSCAN_DATA], encoding_space_ref=0),
        acquisition(encoding_space_ref=1),
        acquisition(encoding_space_ref=0),
        acquisition(encoding_space_ref=1),
    ]
    stream = ReadoutStream(items, head)
    assert stream.scan.matrix == (96, 80)
    assert [readout.is_noise for readout in stream] == [True, False, False]


def test_the_measurement_uid_is_kept():
    stream = ReadoutStream([acquisition(measurement_uid=99)], header())
    list(stream)
    assert stream.measurement_uid == 99
    assert stream.n_readouts == 1
