"""Arrays that do not tell how they lie: nothing is made up, from the file to the DICOM folder."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.files.mrd_file import ScanFile
from gadgets.translate.study import study_from


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture
def arrays(tmp_path):
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(2, 4, 20, 64)) + 1j * generator.normal(size=(2, 4, 20, 64))
    np.save(tmp_path / "in.npy", samples)
    return tmp_path / "in.npy"


def test_neither_directions_nor_position_nor_repetition_time(arrays, tmp_path):
    result = run(arrays, tmp_path / "out.h5", "--matrix", 32, "--field-of-view", 320)
    assert result.exit_code == 0, result.stderr
    with ScanFile(tmp_path / "out.h5", "dataset") as scan:
        study, readout = study_from(scan.header), next(iter(scan.items()))
    assert study.patient_position == ""
    assert study.repetition_time_ms is None
    assert not any((*readout.read_dir, *readout.phase_dir, *readout.slice_dir))
    assert readout.acquisition_time_stamp == 0


def test_what_is_given_is_kept(arrays, tmp_path):
    directions = ("--read-direction", 0, 1, 0, "--phase-direction", 0, 0, 1, "--repetition-time", 3)
    result = run(arrays, tmp_path / "out.h5", "--matrix", 32, "--field-of-view", 320, *directions)
    assert result.exit_code == 0, result.stderr
    with ScanFile(tmp_path / "out.h5", "dataset") as scan:
        assert study_from(scan.header).repetition_time_ms == 3
        assert tuple(next(iter(scan.items())).slice_dir) == (1, 0, 0)


def test_one_direction_alone_is_an_error(arrays, tmp_path):
    result = run(
        arrays, tmp_path / "out.h5", "--matrix", 32, "--field-of-view", 320, "--read-direction", 0, 1, 0
    )
    assert result.exit_code == 1
    assert "--phase-direction" in result.stderr
