"""Readouts to recon data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gadgets.accumulate import _grouped, recon_data_from
from gadgets.header import parse_header
from gadgets.messages import ReconData
from gadgets.readouts import ReadoutStream
from python_recon.data import Counters


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
    message = recon_data_from(located(stream)[:7], stream.scan, 55)
    assert isinstance(message, ReconData)
    buffer = message.bits[0].data
    assert buffer.data.shape == (96, 7, 1, 3, 1, 1, 1)
    assert buffer.trajectory.shape == (2, 96, 7, 1, 1, 1, 1)
    for line, sent in enumerate(blob_scan.items[1:8]):
        np.testing.assert_array_equal(buffer.data[:, line, 0, :, 0, 0, 0], sent.data.T)
        np.testing.assert_allclose(buffer.trajectory[:, :, line, 0, 0, 0, 0], sent.traj.T, atol=1e-6)
        head = buffer.headers[line, 0, 0, 0, 0]
        assert head.measurement_uid == 55
        for name in ("scan_counter", "acquisition_time_stamp", "center_sample", "sample_time_us"):
            assert getattr(head, name) == getattr(sent, name)
        assert head.idx.kspace_encode_step_1 == sent.idx.kspace_encode_step_1
        assert tuple(head.read_dir) == tuple(sent.read_dir)
        assert tuple(head.position) == tuple(sent.position)
    assert tuple(buffer.sampling.recon_matrix) == (48, 40, 1)
    assert tuple(buffer.sampling.recon_fov) == (240, 200, 8)
