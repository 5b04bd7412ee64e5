"""Bad input ends in one clear error, or in a warning and right images; what was good is not lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.wire.wire import Wire

COMMAND = Path(sys.executable).with_name("gadgetron-pisco")
N_NOISE, N_SPOKES, N_FRAMES, N_COILS = 32, 21, 3, 4
NOISE_FLAG = np.uint64(1 << 18)


def imaging(rows):
    return np.flatnonzero((rows["head"]["flags"] & NOISE_FLAG) == 0)


def without(element: str):
    """Removes an element from a header."""
    return lambda xml: re.sub(rf"<{element}>.*</{element}>", "", xml, flags=re.DOTALL)


def of_kind(kind: str):
    """Says another kind of trajectory in a header, and describes it no more."""
    return lambda xml: without("trajectoryDescription")(xml).replace("goldenangle", kind)


def without_trajectory(rows, which=slice(None)):
    rows["head"]["trajectory_dimensions"][which] = 0
    for index in range(len(rows))[which]:
        rows[index]["traj"] = np.zeros(0, np.float32)
    return rows


def with_scaled_trajectory(factor):
    def scale(rows):
        for row in rows:
            row["traj"] = row["traj"] * np.float32(factor)
        return rows

    return scale


def with_nan(rows, which, name="data"):
    for index in which:
        values = rows[index][name].copy()
        values[7] = np.nan
        rows[index][name] = values
    return rows


class TestTrajectory:
    def test_none_and_none_derivable(self, altered, replay, good, likeness):
        path = altered(without_trajectory, of_kind("radial"))
        message = replay(path).error
        assert "carry no trajectory" in message
        assert "trajectory.mode" in message, "the cure"
        cured = replay(path, **{"trajectory.mode": 2})
        assert cured.exit_code == 0, cured.stderr
        assert likeness(cured.images[1], good) > 0.9999

    def test_none_but_the_header_says_golden_angle(self, altered, replay, good, likeness):
        done = replay(altered(without_trajectory, of_kind("goldenangle")))
        assert done.exit_code == 0, done.stderr
        assert likeness(done.images[1], good) > 0.9999

    def test_none_from_the_middle_on(self, altered, replay, good):
        """The frame that was complete by then has been sent already, and is kept."""
        done = replay(altered(lambda rows: without_trajectory(rows, slice(N_NOISE + N_SPOKES + 3, None))))
        assert "carries no trajectory while others of the scan do" in done.error
        assert "trajectory.source" in done.error
        np.testing.assert_array_equal(done.images[1], good[:1])

    def test_all_zero_is_none(self, altered, replay, good, likeness):
        done = replay(altered(with_scaled_trajectory(0)))
        assert done.exit_code == 0, done.stderr
        assert likeness(done.images[1], good) > 0.9999

    @pytest.mark.parametrize("factor", [3, 0.3], ids=str)
    def test_units_out_of_range(self, altered, replay, factor):
        message = replay(altered(with_scaled_trajectory(factor))).error
        assert f"reaches a radius of {0.5 * factor:g}" in message, "what was found"
        assert "0.5 (normalised), 24 (cycles_per_fov)" in message, "what was expected"
        assert "trajectory.unit" in message, "the cure"

    def test_units_that_are_known(self, altered, replay, good, likeness):
        done = replay(altered(with_scaled_trajectory(48)))
        assert done.warnings == ""
        assert likeness(done.images[1], good) > 0.9999

    def test_a_seldom_unit_is_told(self, altered, replay, good, likeness):
        done = replay(altered(with_scaled_trajectory(2)))
        assert "unit normalised_to_1; set trajectory.unit if it is in another" in done.warnings
        assert likeness(done.images[1], good) > 0.9999

    def test_spokes_that_the_header_calls_cartesian(self, altered, replay):
        message = replay(altered(without_trajectory, of_kind("cartesian"))).error
        assert "the header says that the data are cartesian" in message
        assert "set trajectory.source and trajectory.mode" in message
        told = {"trajectory.source": "configured", "trajectory.mode": 2}
        assert replay(altered(without_trajectory, of_kind("cartesian")), **told).exit_code == 0


class TestTooLittle:
    def test_a_file_without_readouts(self, altered, replay):
        assert "holds no readouts" in replay(altered(lambda rows: rows[:0])).error

    def test_a_stream_without_readouts(self, scan, tmp_path):
        done = _replay_stream(_stream(scan, n_items=0), tmp_path / "images.h5")
        assert done.returncode == 1
        assert "the stream holds no imaging readouts" in _error(done)
        assert not (tmp_path / "images.h5").exists()

    def test_noise_only(self, altered, replay):
        done = replay(altered(lambda rows: rows[:N_NOISE]))
        assert "no imaging readouts" in done.error
        assert "32 are noise" in done.error
        assert not done.output.exists()

    def test_a_frame_without_enough_spokes_is_told(self, altered, replay, good):
        done = replay(altered(lambda rows: rows[: N_NOISE + N_SPOKES + 5]))
        assert "frame 1 left out, it has only 5 of 21 spokes" in done.warnings
        np.testing.assert_array_equal(done.images[1], good[:1])


class TestFlags:
    def test_no_flag_but_that_of_the_noise(self, altered, replay, good):
        """The ends of slices, repetitions and of the measurement are not marked."""

        def strip(rows):
            rows["head"]["flags"] &= NOISE_FLAG
            return rows

        done = replay(altered(strip))
        assert done.exit_code == 0, done.stderr
        np.testing.assert_array_equal(done.images[1], good)


class TestTruncation:
    @pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
    def test_a_file(self, scan, replay, tmp_path, share):
        path, whole = tmp_path / "cut.h5", scan.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        done = replay(path)
        assert "cut.h5 is truncated" in done.error
        assert "copy it again" in done.error
        assert not done.output.exists()

    def test_a_file_of_no_bytes(self, replay, tmp_path):
        (tmp_path / "cut.h5").touch()
        assert "cut.h5 is empty" in replay(tmp_path / "cut.h5").error

    def test_a_stream_keeps_the_frames_that_were_whole(self, scan, good, tmp_path):
        cut = _stream(scan, n_items=N_NOISE + N_SPOKES + 10)[: -2 - 50]  # within the last readout
        done = _replay_stream(cut, tmp_path / "images.h5")
        assert done.returncode == 1
        assert "the stream ended within a message" in _error(done)
        with h5py.File(tmp_path / "images.h5") as file:
            np.testing.assert_array_equal(file["dataset/image_1/data"][:, 0, 0], good[:1])


class TestReadouts:
    def test_channels_change(self, altered, replay, good, likeness):
        def lose_a_coil(rows):
            for index in range(len(rows) - N_SPOKES, len(rows)):
                rows[index]["data"] = rows[index]["data"].reshape(N_COILS, -1)[:3].ravel()
            rows["head"]["active_channels"][-N_SPOKES:] = 3
            return rows

        done = replay(altered(lose_a_coil))
        assert "3 coils after 4 at readout 74" in done.warnings
        assert "not whitened: the noise scan has 4 coils" in done.warnings
        np.testing.assert_array_equal(done.images[1][:2], good[:2])
        assert likeness(done.images[11], good[2:]) > 0.9

    def test_samples_change(self, altered, replay, good, likeness):
        def shorten(rows):
            for index in range(len(rows) - N_SPOKES, len(rows)):
                for name, shape in (("data", (N_COILS, -1, 2)), ("traj", (1, -1, 2))):
                    kept = rows[index][name].reshape(shape)[:, 8:-8]
                    rows[index][name] = np.ascontiguousarray(kept).ravel()
            rows["head"]["number_of_samples"][-N_SPOKES:] = 80
            rows["head"]["center_sample"][-N_SPOKES:] = 40
            return rows

        done = replay(altered(shorten))
        assert "80 samples after 96 at readout 74" in done.warnings
        np.testing.assert_array_equal(done.images[1][:2], good[:2])
        assert likeness(done.images[11], good[2:]) > 0.95

    def test_nan_in_some(self, altered, replay, good):
        """They are left out, as if they had been lost."""
        lost = [N_NOISE + N_SPOKES + 4, N_NOISE + N_SPOKES + 9]
        done = replay(altered(lambda rows: with_nan(with_nan(rows, lost[:1]), lost[1:], "traj")))
        assert "its samples hold NaN or Inf" in done.warnings
        assert "its trajectory holds NaN or Inf" in done.warnings
        np.testing.assert_array_equal(done.images[1][0], good[0])
        np.testing.assert_array_equal(
            done.images[1], replay(altered(lambda rows: np.delete(rows, lost))).images[1]
        )

    def test_nan_in_all(self, altered, replay):
        message = replay(altered(lambda rows: with_nan(rows, imaging(rows)))).error
        assert "unusable ones (63)" in message

    def test_one_that_contradicts_its_header(self, altered, replay, good, likeness):
        def cut_short(rows):
            rows[-3]["data"] = rows[-3]["data"][:-8]
            return rows

        done = replay(altered(cut_short))
        assert "readout 92 left out: it holds 760 numbers, its header says 768" in done.warnings
        assert likeness(done.images[1], good) > 0.98


class TestSettings:
    def test_unknown_property_of_a_configuration(self, scan, replay, tmp_path):
        config = tmp_path / "mine.xml"
        config.write_text(_config('<property name="binning.spoke_per_frame" value="5"/>'))
        message = replay(scan, config).error
        assert "unknown setting 'binning.spoke_per_frame'" in message
        assert "did you mean 'binning.spokes_per_frame'?" in message

    def test_unknown_property_on_the_command_line(self, scan, replay):
        assert "did you mean 'device'?" in replay(scan, devise="cpu").error

    def test_unknown_option_of_a_method(self, scan, replay):
        """Only the gadget knows the options: the error comes over the wire."""
        message = replay(scan, "radial_cg_sense", **{"options.iteration": 3}).error
        assert "method 'cg_sense' has no option 'iteration'; did you mean 'iterations'?" in message

    def test_wrong_method(self, scan, replay):
        assert "there is no method 'grsap'; did you mean 'grasp'?" in replay(scan, method="grsap").error

    def test_value_out_of_range(self, scan, replay):
        assert "setting 'coils.energy' is 3" in replay(scan, **{"coils.energy": 3}).error


class TestHeader:
    def test_without_what_says_nothing_of_k_space(self, altered, replay, good):
        def strip(xml):
            return without("sequenceParameters")(without("measurementInformation")(xml))

        done = replay(altered(header=strip))
        assert done.warnings == ""
        np.testing.assert_array_equal(done.images[1], good)

    def test_without_what_the_schema_demands(self, altered, replay, good, likeness):
        elements = ("experimentalConditions", "reconSpace", "trajectory")

        def strip(xml):
            for element in elements:
                xml = without(element)(xml)
            return xml

        done = replay(altered(header=strip))
        for element in elements:
            assert f"lacks <{element}>, a neutral one is assumed" in done.warnings
        assert likeness(done.images[1], good) > 0.9999

    def test_without_limits_frames_are_a_guess(self, altered, replay, good, likeness):
        path = altered(header=without("encodingLimits"))
        guessed = replay(path)
        assert (
            "the number of spokes of a frame is not known: taking 34; set binning.spokes_per_frame"
            in guessed.warnings
        )
        assert guessed.images[1].shape == (2, 48, 48)
        told = replay(path, **{"binning.spokes_per_frame": N_SPOKES})
        assert likeness(told.images[1], good) > 0.9999

    def test_without_an_encoding(self, altered, replay):
        assert "the header describes 0 encoding spaces" in replay(altered(header=without("encoding"))).error

    def test_without_a_matrix(self, altered, replay):
        message = replay(altered(header=without("encodedSpace"))).error
        assert "violates the ISMRMRD schema" in message
        assert "encodedSpace" in message

    def test_that_is_no_xml(self, altered, replay):
        assert "the header is not valid XML" in replay(altered(header=lambda xml: xml[:-30])).error

    def test_of_something_else(self, altered, replay):
        message = replay(altered(header=lambda _: "<html/>")).error
        assert "the header is a <html>, expected an <ismrmrdHeader>" in message


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "meaning"),
        [
            ("<configuration><stream>", "not well-formed XML"),
            ("<html/>", "its root is <html>, not <configuration>"),
            ("<configuration><stream/></configuration>", "there is nothing to run"),
            ("PARAMETERS = 1", "not well-formed XML"),
        ],
    )
    def test_wrong_configuration(self, scan, replay, tmp_path, text, meaning):
        (tmp_path / "mine.xml").write_text(text)
        message = replay(scan, tmp_path / "mine.xml").error
        assert "mine.xml" in message
        assert meaning in message

    def test_hdf5_that_is_not_ismrmrd(self, replay, tmp_path):
        with h5py.File(tmp_path / "matlab.h5", "w") as file:
            file["dataset/rawdata"] = np.zeros(3)
        assert "is not an ISMRMRD file" in replay(tmp_path / "matlab.h5").error

    def test_a_file_that_is_not_hdf5(self, replay, tmp_path):
        (tmp_path / "meas.dat").write_bytes(b"\0\1" * 500)
        message = replay(tmp_path / "meas.dat").error
        assert "is not an HDF5 file" in message
        assert "gadgetron-pisco convert" in message, "the cure"

    def test_images_instead_of_a_scan(self, good_replay, replay):
        assert "not a scan" in replay(good_replay.output).error

    def test_an_output_that_exists_is_kept(self, scan, replay, tmp_path):
        (tmp_path / "mine.h5").write_text("precious")
        message = replay(scan, "radial_preview", "-o", tmp_path / "mine.h5").error
        assert "mine.h5 exists" in message
        assert "--overwrite" in message
        assert (tmp_path / "mine.h5").read_text() == "precious"

    def test_an_output_that_cannot_be_written(self, scan, replay, tmp_path):
        (tmp_path / "a_file").write_text("where a folder would have to be")
        message = replay(scan, "radial_preview", "-o", tmp_path / "a_file" / "images.h5").error
        assert "cannot be written" in message


def _config(properties: str) -> str:
    return (
        "<configuration><version>2</version><stream><external>"
        '<execute type="python" name="gadgets.radial" target="reconstruct"/>'
        f"<configuration>{properties}</configuration></external></stream></configuration>"
    )


def _stream(scan: Path, n_items: int) -> bytes:
    """Header, the first items and CLOSE as an MRD stream."""
    path = scan.with_suffix(f".{n_items}.mrd")
    with ScanFile(scan) as file, path.open("wb") as sink, path.open("rb") as source:
        wire = Wire.from_files(source, sink)
        wire.send_header(file.header_xml)
        for _, item in zip(range(n_items), file.items(), strict=False):
            wire.send(item)
        wire.send_close()
    return path.read_bytes()


def _replay_stream(stream: bytes, output: Path) -> subprocess.CompletedProcess:
    command = [COMMAND, "replay", "--stdin", "-c", "radial_preview", "-o", output]
    return subprocess.run(command, input=stream, capture_output=True, timeout=60)


def _error(done: subprocess.CompletedProcess) -> str:
    (message,) = (line for line in done.stderr.decode().splitlines() if line.startswith("error: "))
    return message
