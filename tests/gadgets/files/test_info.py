from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.files.info import describe
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.scan import simulate

N_NOISE, N_IMAGING = 32, 10


@pytest.fixture
def spoil(scan_path: Path, tmp_path: Path):
    """Describes a copy of the scan whose table of readouts was changed."""

    def apply(change):
        path = Path(shutil.copy(scan_path, tmp_path / "copy.h5"))
        with h5py.File(path, "a") as file:
            rows = file["dataset/data"][:]
            rows = change(rows)
            del file["dataset/data"]
            file["dataset/data"] = rows
        return describe(path)

    return apply


def test_facts_of_a_whole_scan(scan_path):
    info = describe(scan_path)
    assert info.surprises == []
    assert info.facts["Readouts"] == "42, of which 10 imaging"
    assert info.facts["Noise scan"] == "32 readouts"
    assert info.facts["Coils"] == "2"
    assert info.facts["Samples"] == "32"
    assert info.facts["Centre sample"] == "16"
    assert info.facts["repetition"] == "0..1 (2 values)"
    assert info.facts["Waveforms"] == "3"
    assert "Calibration lines" not in info.facts
    assert info.facts["Frames"] == "2 of 5 spokes"
    assert info.facts["Encoding 0"].startswith("goldenangle, encoded 16x16x1")
    assert info.facts["Trajectory"] == "embedded in 10 readouts, dimensions 2, largest radius 0.5"
    assert "is_noise_measurement 32" in info.facts["Flags"]
    assert "last_in_measurement 1" in info.facts["Flags"]


def _without_two(rows):
    return np.delete(rows, [N_NOISE + 3, N_NOISE + 4])


def _with_nan(rows):
    rows["data"][N_NOISE][5] = np.nan
    rows["data"][N_NOISE + 1][0] = np.inf
    return rows


def _without_last_flag(rows):
    return rows[:-1]


def _noise_only(rows):
    return rows[:N_NOISE]


def _without_coil(rows):
    for row in rows:
        row["data"].reshape(2, -1)[1] = 0
    return rows


def _other_size(rows):
    last = rows[-1]
    last["head"]["number_of_samples"], last["data"], last["traj"] = 16, last["data"][:64], last["traj"][:32]
    rows[-1] = last
    return rows


def _wrapped(rows):
    rows["head"]["idx"]["kspace_encode_step_1"][N_NOISE:] = np.arange(65531, 65541) % 65536
    return rows


def _other_encoding(rows):
    rows["head"]["encoding_space_ref"][-1] = 2
    return rows


def _backwards(rows):
    rows["head"]["acquisition_time_stamp"][-1] -= 1000
    return rows


def _zero(rows):
    rows["data"][-1][:] = 0
    return rows


@pytest.mark.parametrize(
    ("change", "surprise"),
    [
        (_without_two, "2 readouts are missing (gaps of scan_counter)"),
        (_with_nan, "2 readouts hold NaN or infinite samples"),
        (_without_last_flag, "no readout is flagged as the last of the measurement"),
        (_noise_only, "no imaging readouts: noise or calibration only"),
        (_without_coil, "coils without signal: 1"),
        (_other_size, "number_of_samples changes during the scan: 32 (9 times), 16 (1 times)"),
        (_wrapped, "kspace_encode_step_1 wraps at 65536 (1 times)"),
        (_other_encoding, "readouts name encoding 2, the header describes 1"),
        (_backwards, "time stamps run backwards"),
        (_zero, "1 readouts are zero throughout"),
    ],
)
def test_surprises(spoil, change, surprise):
    assert surprise in spoil(change).surprises


def test_partitions_of_a_volume(tmp_path):
    options = SimulateOptions(
        encoding="stack_of_stars", matrix=16, coils=2, frames=2, spokes_per_frame=5, partitions=4
    )
    simulate(tmp_path / "stack.h5", options)
    info = describe(tmp_path / "stack.h5")
    assert info.surprises == []
    assert info.facts["Partitions"] == "4, of 10 readouts each"
    assert info.facts["Frames"] == "4 times 2 of 5 spokes"
    assert info.facts["Encoding 0"].startswith("goldenangle, encoded 16x16x4")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"acs": 6}, "kspace_encode_step_1 5..10 (6 values); "),
        (
            {"acs": 4, "encoding": "cartesian_3d", "mask": "poisson", "partitions": 8},
            "kspace_encode_step_1 6..9 (4 values), kspace_encode_step_2 2..5 (4 values); ",
        ),
    ],
)
def test_extent_of_the_calibration_lines(tmp_path, options, lines):
    known = {"encoding": "cartesian", "acceleration": 2, "matrix": 16, "coils": 2, "frames": 2}
    simulate(tmp_path / "scan.h5", SimulateOptions(**{**known, **options}))
    told = describe(tmp_path / "scan.h5").facts["Calibration lines"]
    assert told.startswith(lines)
    images, alone = (int(part.split()[0]) for part in told.removeprefix(lines).split(", "))
    n_partitions = 4 if "partitions" in options else 1
    assert images + alone == options["acs"] * n_partitions * known["frames"]


def test_calibration_lines_that_make_no_image(spoil):
    def change(rows):
        calibrates = 1 << (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION - 1)
        rows["head"]["flags"][N_NOISE + 1 : N_NOISE + 4] |= calibrates
        return rows

    told = spoil(change).facts["Calibration lines"]
    assert "1..3 (3 values); 0 readouts" in told
    assert told.endswith("3 flagged for calibration alone")
