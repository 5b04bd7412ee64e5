"""ISMRMRD header and items to Scan and Readouts."""

from __future__ import annotations

import logging

import ismrmrd
import numpy as np
import pytest
from ismrmrd import constants

from gadgets.header import parse_header
from gadgets.messages import AcquisitionBucket, ReconBit, ReconBuffer, ReconData, Text
from gadgets.readouts import ReadoutStream, readouts_from, scan_from
from python_recon.errors import DataError


def header_xml(encodings, extra=""):
    return f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{extra}{"".join(encodings)}</ismrmrdHeader>'


def space(name, x, y, fov_x=300, fov_y=200):
    return (
        f"<{name}><matrixSize><x>{x}</x><y>{y}</y><z>1</z></matrixSize><fieldOfView_mm><x>{fov_x}</x>"
        f"<y>{fov_y}</y><z>7</z></fieldOfView_mm></{name}>"
    )


def encoding(kind="goldenangle", description="", **recon):
    return (
        f"<encoding>{space('encodedSpace', 256, 96, 600)}"
        f"{space('reconSpace', **{'x': 128, 'y': 96, **recon})}"
        "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>311</maximum><center>0</center>"
        "</kspace_encoding_step_1><slice><minimum>0</minimum><maximum>2</maximum><center>0</center></slice>"
        f"</encodingLimits><trajectory>{kind}</trajectory>{description}</encoding>"
    )


def header(*encodings, extra=""):
    return parse_header(header_xml(encodings or [encoding()], extra).encode())


def acquisition(samples=8, coils=2, flags=(), trajectory=None, seed=0, **fields):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))
    acquired = ismrmrd.Acquisition.from_array(data.astype(np.complex64), trajectory)
    for flag in flags:
        acquired.set_flag(flag) if hasattr(acquired, "set_flag") else acquired.setFlag(flag)
    for name, value in fields.items():
        setattr(acquired.idx if hasattr(acquired.idx, name) else acquired, name, value)
    return acquired


def only(items, head=None):
    (readout,) = readouts_from(items, head or header())
    return readout


def test_scan():
    description = (
        "<trajectoryDescription><identifier>radial</identifier><userParameterLong><name>spokes</name>"
        "<value>13</value></userParameterLong><userParameterDouble><name>angle_increment</name>"
        "<value>111.246</value></userParameterDouble></trajectoryDescription>"
    )
    extra = (
        "<measurementInformation><measurementID>17_4</measurementID><patientPosition>HFS</patientPosition>"
        "<protocolName>heart</protocolName></measurementInformation><acquisitionSystemInformation>"
        "<relativeReceiverNoiseBandwidth>0.79</relativeReceiverNoiseBandwidth><receiverChannels>34"
        "</receiverChannels></acquisitionSystemInformation><experimentalConditions>"
        "<H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions>"
    )
    parameters = (
        "<userParameters><userParameterLong><name>a</name><value>2</value></userParameterLong>"
        "<userParameterString><name>b</name><value>c</value></userParameterString></userParameters>"
    )
    scan = scan_from(header(encoding(description=description), parameters, extra=extra))
    assert scan.matrix == (96, 128)
    assert scan.encoded_matrix == (96, 256)
    assert scan.field_of_view_mm == (300, 200, 7)
    assert scan.encoded_field_of_view_mm == (600, 200, 7)
    assert scan.trajectory_kind == "goldenangle"
    assert scan.trajectory_parameters == {"spokes": 13, "angle_increment": 111.246}
    assert scan.limits == {"kspace_encode_step_1": 311, "slice": 2}
    assert (scan.n_coils, scan.noise_bandwidth_ratio) == (34, 0.79)
    assert (scan.measurement_id, scan.protocol) == ("17_4", "heart")
    assert scan.user_parameters == {"a": 2, "b": "c"}


def test_a_bare_header_is_enough():
    scan = scan_from(header())
    assert (scan.n_coils, scan.noise_bandwidth_ratio, scan.measurement_id) == (None, 1.0, "")


@pytest.mark.parametrize(
    ("encodings", "match"),
    [
        ((""), "describes 0 encoding spaces"),
        ((encoding(x=1)), "matrix of 1 x 96"),
        ((encoding(fov_x=0)), "field of view of 0"),
    ],
)
def test_headers_without_what_an_image_needs(encodings, match):
    with pytest.raises(DataError, match=match):
        scan_from(header(encodings))


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
    got = list(readouts_from([noise, acquisition()], header()))
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
        list(readouts_from(items, header()))


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


def assert_same_readouts(messages, items):
    got, expected = list(readouts_from(messages, header())), list(readouts_from(items, header()))
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
        list(readouts_from([ReconData((ReconBit(broken),))], header()))
