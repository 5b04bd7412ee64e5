"""NumPy and MATLAB arrays as scans."""

from __future__ import annotations

import shlex

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from gadgets.files.mrd_file import ScanFile
from gadgets.files.slices import read_slice
from python_recon.config import load_config
from tests.readme import command
from tests.real_data import HEART, write_real_heart

KNOWN = ("--matrix", 32, "--field-of-view", 160)


def error_of(result) -> str:
    assert result.exit_code == 1, result.output
    return " ".join(result.stderr.split())


@pytest.fixture
def target(tmp_path):
    return tmp_path / "scan.h5"


class TestOrientationAndUnits:
    @pytest.mark.parametrize(
        ("unit", "factor"),
        [("cycles_per_fov", 1), ("normalised", 1 / 32), ("per_mm", 1 / 160), ("auto", 1 / 32)],
    )
    def test_numpy_with_any_unit(self, convert, check_blob, blob, tmp_path, target, unit, factor):
        np.savez(tmp_path / "in.npz", kspace=blob.data, k=factor * blob.trajectory)
        given = ["--data", "kspace", "--trajectory", "k", "--unit", unit]
        result = convert(tmp_path / "in.npz", target, *given, *KNOWN)
        assert result.exit_code == 0, result.stderr
        assert "68 readouts" in result.stdout
        check_blob(target)

    def test_golden_angles_without_a_trajectory(self, convert, check_blob, blob, tmp_path, target):
        np.save(tmp_path / "in.npy", blob.data)
        result = convert(tmp_path / "in.npy", target, *KNOWN)
        assert result.exit_code == 0, result.stderr
        assert "111.24611" in result.stderr
        check_blob(target)

    def test_other_angles_turn_the_image(self, convert, images_of, blob, tmp_path, target):
        np.save(tmp_path / "in.npy", blob.data)
        assert convert(tmp_path / "in.npy", target, *KNOWN, "--angle-offset", 90).exit_code == 0
        image = images_of(target)[0]
        assert np.unravel_index(image.argmax(), image.shape) == (16 + 7, 16 + 4)

    def test_matlab_5_in_its_own_order(self, convert, check_blob, blob, tmp_path, target):
        k = blob.trajectory[..., 0] + 1j * blob.trajectory[..., 1]
        savemat(
            tmp_path / "in.mat", {"raw": blob.data.transpose(3, 2, 1, 0), "k": k.transpose(2, 1, 0), "n": 3}
        )
        axes = ["--axes", "readout spoke coil frame", "--trajectory-axes", "readout,spoke,frame"]
        given = ["--data", "raw", "--trajectory", "k", "--unit", "cycles_per_fov"]
        result = convert(tmp_path / "in.mat", target, *given, *axes, *KNOWN)
        assert result.exit_code == 0, result.stderr
        check_blob(target)

    def test_the_line_in_the_readme(self, convert, check_blob, blob, tmp_path, monkeypatch):
        k = (blob.trajectory[..., 0] + 1j * blob.trajectory[..., 1]) / 32
        arrays = {"kspace": blob.data.transpose(3, 2, 1, 0), "k": k.transpose(2, 1, 0)}
        savemat(tmp_path / "raw.mat", arrays)
        monkeypatch.chdir(tmp_path)
        result = convert(*shlex.split(command("gadgetron-pisco convert raw.mat "))[2:])
        assert result.exit_code == 0, result.stderr
        check_blob(tmp_path / "raw.h5")

    def test_matlab_7_3_has_the_same_order(self, convert, check_blob, blob, tmp_path, target):
        pairs = np.dtype([("real", "f4"), ("imag", "f4")])
        with h5py.File(tmp_path / "in.mat", "w", userblock_size=512) as file:
            file["raw"] = np.ascontiguousarray(blob.data).view(pairs).reshape(blob.data.shape)
            file["k"] = blob.trajectory.transpose(3, 0, 1, 2)  # MATLAB: readout, spoke, frame, dimension
        head = b"MATLAB 7.3 MAT-file, written by a test".ljust(124) + b"\x00\x02IM"
        with (tmp_path / "in.mat").open("r+b") as file:
            file.write(head)
        axes = ["--axes", "readout spoke coil frame", "--trajectory-axes", "readout spoke frame dimension"]
        given = ["--data", "raw", "--trajectory", "k", "--unit", "cycles_per_fov"]
        result = convert(tmp_path / "in.mat", target, *given, *axes, *KNOWN)
        assert result.exit_code == 0, result.stderr
        check_blob(target)

    def test_one_trajectory_for_all_frames_from_a_file_of_its_own(
        self, convert, check_blob, blob, tmp_path, target
    ):
        np.save(tmp_path / "in.npy", blob.data[[0, 0]])
        np.save(tmp_path / "k.npy", blob.trajectory[0])
        given = ["--trajectory", tmp_path / "k.npy", "--unit", "cycles_per_fov"]
        assert convert(tmp_path / "in.npy", target, *given, *KNOWN).exit_code == 0
        check_blob(target)

    def test_slices_are_stacked_along_their_normal(self, convert, blob, tmp_path, target):
        np.save(tmp_path / "in.npy", np.stack([blob.data, 2 * blob.data]))
        place = ["--position", 0, 0, 10, "--read-direction", 0, 1, 0, "--phase-direction", 0, 0, 1]
        given = ["--slice-thickness", 8, "--repetition-time", 5]
        assert convert(tmp_path / "in.npy", target, *KNOWN, *given, *place).exit_code == 0
        with ScanFile(target) as scan:
            heads = scan.heads()
            assert scan.header.encoding[0].encodingLimits.slice.maximum == 1
        assert heads["position"][0].tolist() == [-4, 0, 10]
        assert heads["position"][-1].tolist() == [4, 0, 10]
        assert heads["slice_dir"][0].tolist() == [1, 0, 0]
        assert np.unique(np.diff(heads["acquisition_time_stamp"].astype(int))).tolist() == [2]
        assert heads["idx"]["slice"].sum() == 68


class TestRefusals:
    @pytest.fixture
    def arrays(self, blob, tmp_path):
        np.savez(tmp_path / "in.npz", kspace=blob.data, k=blob.trajectory)
        return tmp_path / "in.npz"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([*KNOWN], "say which with --data NAME"),
            ([*KNOWN, "--data", "kspce"], "did you mean 'kspace'"),
            ([*KNOWN, "--data", "k"], "expected complex numbers"),
            ([*KNOWN, "--data", "kspace", "--axes", "coil spoke readout"], "name each of its axes"),
            ([*KNOWN, "--data", "kspace", "--axes", "frame coil shot readout"], "name each of its axes"),
            (
                [*KNOWN, "--data", "kspace", "--trajectory", "k", "--axes", "frame coil readout spoke"],
                "are the axes named in the right order?",
            ),
            (["--data", "kspace", "--matrix", 32], "give --field-of-view"),
            ([*KNOWN[:3], -1, "--data", "kspace"], "field_of_view_mm"),
        ],
    )
    def test_what_does_not_fit_is_told(self, convert, arrays, target, arguments, message):
        assert message in error_of(convert(arrays, target, *arguments))
        assert not target.exists()

    def test_an_output_that_exists_is_kept(self, convert, arrays, target):
        target.write_text("precious")
        assert "--overwrite" in error_of(convert(arrays, target, "--data", "kspace", *KNOWN))
        assert target.read_text() == "precious"

    @pytest.mark.parametrize("name", ["in.npy", "in.mat", "in.xyz", "none.npz"])
    def test_what_cannot_be_read_is_one_error(self, convert, tmp_path, target, name):
        if name != "none.npz":
            (tmp_path / name).write_text("raw data")
        assert name in error_of(convert(tmp_path / name, target, *KNOWN))

    def test_three_dimensions_are_refused(self, convert, blob, tmp_path, target):
        places = np.concatenate([blob.trajectory, blob.trajectory[..., :1]], axis=-1)
        np.savez(tmp_path / "in.npz", kspace=blob.data, k=places)
        result = convert(tmp_path / "in.npz", target, "--data", "kspace", "--trajectory", "k", *KNOWN)
        assert "3 dimensions" in error_of(result)


def test_the_measured_heart_is_that_of_the_helper(convert, tmp_path, target):
    expected = write_real_heart(tmp_path / "expected.h5")
    result = convert(
        HEART, target, "--data", "rawdata", "--trajectory", "k", "--axes", "readout spoke coil",
        "--trajectory-axes", "readout spoke", "--matrix", 128, "--field-of-view", 256, "--slice-thickness", 8,
        "--read-direction", -1, 0, 0, "--phase-direction", 0, -1, 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    config = load_config({"binning.spokes_per_frame": 25})
    ours, theirs = (read_slice(path, "dataset", 0, config) for path in (target, expected))
    np.testing.assert_array_equal(ours.data, theirs.data)
    np.testing.assert_array_equal(ours.trajectory, theirs.trajectory)
    assert ours.geometry == theirs.geometry
    assert ours.matrix == theirs.matrix
