"""Readouts to recon data."""

from __future__ import annotations

from dataclasses import replace

import ismrmrd
import numpy as np
import pytest

from gadgets.accumulate import _grouped, frames, recon_data_from
from gadgets.files.mrd_file import ScanFile
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.scan import simulate
from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.header import parse_header
from gadgets.wire.messages import ReconData
from python_recon.config import load_config
from python_recon.data import Counters
from python_recon.errors import DataError


@pytest.fixture
def stream(blob_scan):
    return ReadoutStream(blob_scan.items[1:], parse_header(blob_scan.header_xml.encode()))


def located(stream):
    matrix = stream.scan.matrix
    return [
        replace(
            readout,
            trajectory=readout.raw_trajectory * np.float32([matrix[1], matrix[0]]),
            spoke_index=number,
        )
        for number, readout in enumerate(stream)
    ]


def test_groups_of_a_number_of_spokes(stream):
    assert [len(group) for group in _grouped(located(stream), 30)] == [30, 30, 8]


def test_groups_of_a_repetition_and_phase(stream):
    readouts = [
        replace(readout, counters=Counters(repetition=number // 20, phase=number // 40))
        for number, readout in enumerate(located(stream))
    ]
    assert [len(group) for group in _grouped(readouts, None)] == [20, 20, 20, 8]


def test_slices_contrasts_and_sets_are_kept_apart(stream):
    readouts = [
        replace(readout, counters=Counters(slice=number % 3, contrast=number % 2))
        for number, readout in enumerate(located(stream))
    ]
    groups = list(_grouped(readouts, 5))
    assert sum(map(len, groups)) == len(readouts)
    for group in groups:
        assert len({(readout.counters.slice, readout.counters.contrast) for readout in group}) == 1


def test_a_change_of_samples_ends_a_group(stream):
    readouts = located(stream)
    readouts[10:] = [replace(readout, data=readout.data[:, 1:]) for readout in readouts[10:]]
    assert [len(group) for group in _grouped(readouts, 30)] == [10, 30, 28]


def test_recon_data_hold_what_the_readouts_held(stream, blob_scan):
    """The oracle is the acquisitions themselves: their trajectory was in Gadgetron's unit."""
    message = recon_data_from(located(stream)[:7], stream.scan)
    assert isinstance(message, ReconData)
    buffer = message.bits[0].data
    assert buffer.data.shape == (96, 7, 1, 3, 1, 1, 1)
    assert buffer.trajectory.shape == (2, 96, 7, 1, 1, 1, 1)
    for line, sent in enumerate(blob_scan.items[1:8]):
        np.testing.assert_array_equal(buffer.data[:, line, 0, :, 0, 0, 0], sent.data.T)
        np.testing.assert_allclose(buffer.trajectory[:, :, line, 0, 0, 0, 0], sent.traj.T, atol=1e-6)
        head = buffer.headers[line, 0, 0, 0, 0]
        assert head.measurement_uid == sent.measurement_uid
        for name in ("scan_counter", "acquisition_time_stamp", "center_sample", "sample_time_us"):
            assert getattr(head, name) == getattr(sent, name)
        assert head.idx.kspace_encode_step_1 == sent.idx.kspace_encode_step_1
        assert tuple(head.read_dir) == tuple(sent.read_dir)
        assert tuple(head.position) == tuple(sent.position)
    assert tuple(buffer.sampling.recon_matrix) == (48, 40, 1)
    assert tuple(buffer.sampling.recon_fov) == (240, 200, 8)


REVERSE = 1 << (ismrmrd.ACQ_IS_REVERSE - 1)
LAST_IN_SLICE = 1 << (ismrmrd.ACQ_LAST_IN_SLICE - 1)


def fill_header(acquisition, number):
    """Every field that a gadget behind this one may want to read."""
    acquisition.version = 1
    acquisition.flags = LAST_IN_SLICE
    acquisition.available_channels = 64
    acquisition.channel_mask[0] = 0b111
    acquisition.user_int = tuple(range(number, number + 8))
    acquisition.user_float = tuple(0.5 * np.arange(number, number + 8))
    acquisition.idx.user = tuple(range(8))
    acquisition.idx.segment, acquisition.idx.average = 2, 3
    acquisition.physiology_time_stamp = (number, 2, 3)
    acquisition.patient_table_position = (0.0, 0.0, 7.0)


def headers_of(messages):
    return [head for message in messages for head in message.bits[0].data.headers.ravel()]


def accumulated(scan, items):
    stream = ReadoutStream(items, parse_header(scan.header_xml.encode()))
    return list(frames(stream, load_config({"binning.spokes_per_frame": 34})))


def test_headers_come_out_as_they_came_in(blob_scan):
    sent = blob_scan.items[1:]
    for number, acquisition in enumerate(sent):
        fill_header(acquisition, number)
    headers = headers_of(accumulated(blob_scan, [blob_scan.items[0], *sent]))
    assert [bytes(head) for head in headers] == [bytes(acquisition.getHead()) for acquisition in sent]


def test_a_readout_that_is_left_out_shifts_no_header(blob_scan):
    navigator = ismrmrd.Acquisition.from_array(np.ones((3, 96), np.complex64))
    navigator.flags = 1 << (ismrmrd.ACQ_IS_NAVIGATION_DATA - 1)
    navigator.user_int = (99,) * 8
    sent = blob_scan.items[1:]
    for number, acquisition in enumerate(sent):
        fill_header(acquisition, number)
    items = [blob_scan.items[0], *sent[:30], navigator, *sent[30:]]
    assert [head.user_int[0] for head in headers_of(accumulated(blob_scan, items))] == list(range(68))


def test_a_readout_remembers_its_header_whatever_is_done_to_it(stream, blob_scan):
    readout = replace(next(iter(stream)), trajectory=np.zeros((96, 2), np.float32))
    assert bytes(readout.origin) == bytes(blob_scan.items[1].getHead())


def test_headers_tell_what_was_done_to_the_samples(blob_scan):
    """Trimmed by two and three samples; and turned, where no trajectory tells the direction."""
    items = []
    for acquisition in blob_scan.items[1:]:
        data = acquisition.data[:, ::-1] if acquisition.scan_counter % 2 else acquisition.data
        bare = ismrmrd.Acquisition.from_array(np.ascontiguousarray(data))
        for name in ("scan_counter", "center_sample", "acquisition_time_stamp", "sample_time_us"):
            setattr(bare, name, getattr(acquisition, name))
        bare.idx.kspace_encode_step_1 = acquisition.idx.kspace_encode_step_1
        bare.flags = LAST_IN_SLICE | (REVERSE if acquisition.scan_counter % 2 else 0)
        bare.discard_pre, bare.discard_post = 2, 3
        items.append(bare)
    messages = accumulated(blob_scan, items)
    assert messages[0].bits[0].data.data.shape[0] == 91
    for head in headers_of(messages):
        assert head.flags == LAST_IN_SLICE
        assert (head.number_of_samples, head.discard_pre, head.discard_post) == (91, 0, 0)
        assert head.center_sample == (95 - 48 - 3 if head.scan_counter % 2 else 48 - 2)
        assert head.trajectory_dimensions == 2


def test_waveforms_are_handed_on(blob_scan):
    """The next stage needs them, of whatever kind they are; those that come last, too."""
    waveforms = [ismrmrd.Waveform.from_array(np.full((1, 3), n, np.uint32), waveform_id=n) for n in (0, 9, 2)]
    items = [*blob_scan.items[:40], *waveforms[:2], *blob_scan.items[40:], waveforms[2]]
    found = accumulated(blob_scan, items)
    assert [item for item in found if isinstance(item, ismrmrd.Waveform)] == waveforms
    assert found[-1] == waveforms[-1]


def test_a_volume_is_refused_before_its_data(tmp_path):
    options = SimulateOptions(
        encoding="stack_of_stars", matrix=16, coils=2, frames=1, spokes_per_frame=3, partitions=2
    )
    simulate(tmp_path / "stack.h5", options)
    with ScanFile(tmp_path / "stack.h5") as scan, pytest.raises(DataError, match="stack_of_stars_grasp"):
        next(frames(ReadoutStream(scan.items(), scan.header), load_config()))
