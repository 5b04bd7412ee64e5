"""The files of a simulation: whole or not there, and nothing else is touched."""

from __future__ import annotations

import h5py
import pytest

from gadgets.simulation import scan as module
from gadgets.simulation.scan import SimulateOptions, simulate
from python_recon.errors import ConfigError

SMALL = SimulateOptions(matrix=32, coils=3, frames=3, spokes_per_frame=5)


@pytest.mark.parametrize("taken", ["scan.h5", "scan_truth.h5"])
def test_existing_files_are_kept_unless_asked(tmp_path, taken):
    (tmp_path / taken).write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        simulate(tmp_path / "scan.h5", SMALL)
    assert (tmp_path / taken).read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == [taken]
    simulate(tmp_path / "scan.h5", SMALL, overwrite=True)
    assert h5py.is_hdf5(tmp_path / taken)


def test_a_failed_simulation_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(module, "readout_rows", fail)
    with pytest.raises(MemoryError):
        simulate(tmp_path / "scan.h5", SMALL)
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        simulate(tmp_path / "nowhere" / "scan.h5", SMALL)
    with pytest.raises(ConfigError, match="is a folder"):
        simulate(tmp_path, SMALL, tmp_path / "truth.h5")
    with pytest.raises(ConfigError, match="are both"):
        simulate(tmp_path / "scan.h5", SMALL, tmp_path / "scan.h5")
