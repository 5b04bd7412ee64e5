"""Scans in new files: what ismrmrd reads of them, and that they are whole or not there."""

from __future__ import annotations

from contextlib import closing

import h5py
import ismrmrd
import numpy as np
import pytest
from ismrmrd.hdf5 import acquisition_header_dtype, waveform_dtype

from gadgets.files.mrd_file import WAVEFORM_PLACES
from gadgets.files.tables import NewScan, new_hdf5, readout_rows, write_scan
from python_recon.errors import ConfigError

XML = '<ismrmrdHeader note="µ"/>'.encode()


def heads(count, coils=2, samples=4, dimensions=2, first=0):
    filled = np.zeros(count, acquisition_header_dtype)
    filled["active_channels"], filled["number_of_samples"] = coils, samples
    filled["trajectory_dimensions"], filled["scan_counter"] = dimensions, first + np.arange(count)
    return filled


def random(*shape):
    return np.random.default_rng(1).standard_normal((*shape, 2)).view(complex)[..., 0]


def readouts_of(path):
    with closing(ismrmrd.Dataset(str(path), create_if_needed=False)) as dataset:
        xml = bytes(dataset.read_xml_header())
        return xml, [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]


def test_ismrmrd_reads_what_was_written_in_blocks(tmp_path):
    data, trajectory = random(5, 2, 4), random(5, 4, 1).view(float)
    blocks = (
        readout_rows(heads(len(part), first=part[0]), data[part], trajectory[part])
        for part in np.split(np.arange(5), [3])
    )
    assert write_scan(tmp_path / "scan.h5", XML, blocks, overwrite=False) == 5
    xml, found = readouts_of(tmp_path / "scan.h5")
    assert xml == XML
    assert [readout.scan_counter for readout in found] == [*range(5)]
    np.testing.assert_array_equal([readout.data for readout in found], data.astype(np.complex64))
    np.testing.assert_array_equal([readout.traj for readout in found], trajectory.astype(np.float32))


def test_readouts_of_a_block_may_differ_in_size_and_lack_a_trajectory(tmp_path):
    sizes = [(1, 6), (3, 2)]
    mixed = np.concatenate([heads(1, *size, dimensions=0) for size in sizes])
    rows = readout_rows(mixed, [random(*size) for size in sizes])
    write_scan(tmp_path / "scan.h5", XML, [rows], overwrite=False)
    _, found = readouts_of(tmp_path / "scan.h5")
    assert [readout.data.shape for readout in found] == sizes
    assert all(readout.traj.size == 0 for readout in found)


def test_samples_must_come_for_every_head():
    with pytest.raises(ValueError, match="zip"):
        readout_rows(heads(3), random(2, 2, 4))


def test_waveforms_have_a_table_once_there_are_some(tmp_path):
    wave = np.zeros(2, waveform_dtype)
    wave["head"]["channels"], wave["head"]["number_of_samples"] = 1, 3
    wave["data"][:] = [np.arange(3, dtype=np.uint32)] * 2
    with new_hdf5(tmp_path / "scan.h5", overwrite=False) as file:
        scan = NewScan(file, XML)
        assert set(file["dataset"]) == {"xml", "data"}
        for _ in range(2):
            scan.append_waveforms(wave)
            scan.append_waveform_places(np.array([0, 0], "<u8"))
    with closing(ismrmrd.Dataset(str(tmp_path / "scan.h5"), create_if_needed=False)) as dataset:
        assert dataset.number_of_waveforms() == 4
        np.testing.assert_array_equal(dataset.read_waveform(3).data, [[0, 1, 2]])
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["dataset"][WAVEFORM_PLACES].shape == (4,)


def test_a_scan_that_fails_midway_leaves_what_was_there(tmp_path):
    path = tmp_path / "scan.h5"
    path.write_text("precious")

    def blocks():
        yield readout_rows(heads(1), random(1, 2, 4), random(1, 4, 1).view(float))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scan(path, XML, blocks(), overwrite=True)
    assert path.read_text() == "precious"
    assert [item.name for item in tmp_path.iterdir()] == ["scan.h5"]


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    def write():
        with new_hdf5(tmp_path / "nowhere" / "scan.h5", overwrite=False):
            pass

    with pytest.raises(ConfigError, match=r"scan\.h5 cannot be written"):
        write()
