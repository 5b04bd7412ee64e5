"""``replay`` as a user calls it, with real gadgets in real processes."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import psutil
import pytest
from PIL import Image
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.files.mrd_file import ScanFile
from gadgets.replay.config_xml import find_config
from gadgets.wire.messages import MessageId
from gadgets.wire.wire import Wire

N_ITEMS = 45
N_FRAMES = 2
COMMAND = Path(sys.executable).with_name("gadgetron-pisco")
runner = CliRunner()


def replay(*arguments: object):
    return runner.invoke(app, ["replay", *(str(argument) for argument in arguments)])


def error_of(result) -> str:
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    return result.stderr


@pytest.fixture
def paths(scan_path, tmp_path):
    """The arguments -f and -o."""
    return ["-f", scan_path, "-o", tmp_path / "images.h5"]


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "images.h5"


class TestResults:
    def test_images_become_a_file(self, paths, output, write_config):
        result = replay(*paths, "-c", write_config("image_per_readout"))
        assert result.exit_code == 0, result.stderr
        assert f"{N_ITEMS} images (45 in dataset/image_1)" in result.stderr
        assert result.stdout == ""
        with closing(ismrmrd.Dataset(str(output), create_if_needed=False)) as dataset:
            assert dataset.number_of_images("image_1") == N_ITEMS
            np.testing.assert_array_equal(dataset.read_image("image_1", 6).data, np.full((1, 1, 6, 4), 7))
            assert b"simulated_radial_heart" in dataset.read_xml_header()

    def test_previews_and_report(self, paths, tmp_path, write_config):
        views = ["--preview", tmp_path / "views", "--report", tmp_path / "report.html"]
        result = replay(*paths, "-c", write_config("warns"), *views)
        assert result.exit_code == 0, result.stderr
        (path,) = (tmp_path / "views").glob("*.gif")
        with Image.open(path) as animation:
            frames = animation.n_frames
        assert frames == N_ITEMS
        page = (tmp_path / "report.html").read_text()
        assert "simulated_radial_heart" in page
        assert "the tube is warm" in page

    def test_loops_go_to_groups_of_their_own(self, paths, output, write_config):
        result = replay(*paths, "-c", write_config("image_per_readout"), "-l", 2, "-G", "run")
        assert result.exit_code == 0, result.stderr
        with h5py.File(output) as file:
            assert set(file) == {"run", "run_2"}
            assert len(file["run/image_1/data"]) == len(file["run_2/image_1/data"]) == N_ITEMS

    def test_set_overrides_properties(self, paths, output, write_config):
        config = write_config("tell_configuration", properties='<property name="a" value="1"/>')
        assert replay(*paths, "-c", config, "--set", "a=2", "--set", "b=x=y").exit_code == 0
        with closing(ismrmrd.Dataset(str(output), create_if_needed=False)) as dataset:
            meta = dataset.read_image("image_1", 0).meta
        assert (meta["a"], meta["b"]) == ("2", "x=y")


class TestRefusals:
    """Each ends before anything is started or written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path):
        yield
        assert not list(tmp_path.rglob("*.part"))

    def test_the_output_exists(self, paths, output, write_config):
        output.write_text("precious")
        assert "exists" in error_of(replay(*paths, "-c", write_config("image_per_readout")))
        assert output.read_text() == "precious"

    def test_the_output_is_the_scan(self, scan_path, write_config):
        before = scan_path.read_bytes()
        result = replay(
            "-f", scan_path, "-o", scan_path, "-c", write_config("image_per_readout"), "--overwrite"
        )
        assert "would replace the scan" in error_of(result)
        assert scan_path.read_bytes() == before

    def test_the_output_cannot_be_written(self, scan_path, tmp_path, write_config):
        (tmp_path / "no").write_text("a file, where a folder would have to be")
        result = replay(
            "-f", scan_path, "-o", tmp_path / "no" / "x.h5", "-c", write_config("image_per_readout")
        )
        assert "cannot be written" in error_of(result)

    def test_the_scan_is_none(self, tmp_path, output, write_config):
        (tmp_path / "scan.dat").write_text("meas.dat")
        result = replay("-f", tmp_path / "scan.dat", "-o", output, "-c", write_config("image_per_readout"))
        assert "not an HDF5 file" in error_of(result)
        assert not output.exists()

    def test_cpp_gadgets(self, paths, tmp_path, output):
        config = tmp_path / "cpp.xml"
        gadget = "<gadget><dll>gadgetron_mricore</dll><classname>NoiseAdjustGadget</classname></gadget>"
        config.write_text(f"<configuration><stream>{gadget}</stream></configuration>")
        assert "NoiseAdjustGadget" in error_of(replay(*paths, "-c", config))
        assert not output.exists()

    def test_unknown_configurations_and_paths_out_of_the_folders(self, paths):
        assert "did you mean 'radial_grasp.xml'" in error_of(replay(*paths, "-c", "radial_grsap.xml"))
        assert "no configuration" in error_of(replay(*paths, "-c", "../../pyproject"))

    def test_unknown_settings_of_our_gadgets_name_the_nearest(self, paths):
        message = error_of(replay(*paths, "-c", "radial_preview", "--set", "binning.spoke_per_frame=5"))
        assert "did you mean 'binning.spokes_per_frame'" in message

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-o", "x.h5", "-c", "a"], "-f FILE or --stdin"),
            (["-f", "x.h5", "--stdin", "-o", "y.h5", "-c", "a"], "-f FILE or --stdin"),
            (["-f", "x.h5", "-c", "a"], "-o FILE or --stdout"),
            (["--stdin", "-o", "x.h5", "-l", "2", "-c", "a"], "--loops"),
            (["-f", "x.h5", "-o", "y.h5", "--set", "a"], "key=value"),
        ],
    )
    def test_options_that_contradict(self, arguments, message):
        assert message in error_of(replay(*arguments))

    def test_no_configuration_or_two(self, paths, write_config):
        assert "-c NAME or -C FILE" in error_of(replay(*paths))
        config = write_config("nothing")
        assert "not both" in error_of(replay(*paths, "-c", config, "-C", config))

    def test_set_cannot_reach_a_servers_own_configuration(self, paths):
        assert "-C" in error_of(replay(*paths, "-c", "x.xml", "-p", 9, "--set", "a=1"))


class TestFailures:
    @pytest.mark.parametrize("target", ["raises", "exits", "reports_error"])
    def test_images_before_an_error_are_kept_and_told(self, paths, output, write_config, target):
        message = error_of(replay(*paths, "-c", write_config(target)))
        assert "1 images that came before the error" in message
        with h5py.File(output) as file:
            assert len(file["dataset/image_1/data"]) == 1

    def test_without_images_there_is_no_file(self, paths, output, write_config):
        assert "no images came back" in error_of(replay(*paths, "-c", write_config("nothing")))
        assert not output.exists()

    def test_silence(self, paths, write_config):
        message = error_of(replay(*paths, "-c", write_config("hangs"), "-t", 1))
        assert "nothing moved for 1 s, waiting for sample_gadgets.hangs" in message


class TestServer:
    def test_a_server_is_used_with_its_own_configuration(self, paths, output):
        image = ismrmrd.Image.from_array(np.ones((3, 2), np.float32), transpose=False)
        seen = []
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    wire = Wire.from_socket(connection, 20)
                    seen.append(wire.receive_session().config_file)
                    seen.append(len(list(wire)))
                    wire.send(image)
                    wire.send_close()

            thread = threading.Thread(target=serve)
            thread.start()
            port = listener.getsockname()[1]
            result = replay(*paths, "-a", "127.0.0.1", "-p", port, "-c", "radial_grasp.xml")
            thread.join(20)
        assert result.exit_code == 0, result.stderr
        assert seen == ["radial_grasp.xml", N_ITEMS]
        assert output.exists()


class TestPipes:
    """MRD streams through the standard streams of the installed command."""

    @staticmethod
    def _stream(scan_path: Path, config: str = "", *, is_whole: bool = True) -> bytes:
        written = io.BytesIO()

        class _Channel:
            write = staticmethod(written.write)

            def read_into(self, _view):
                raise AssertionError

        wire = Wire(_Channel())
        if config:
            wire.send_config_text(config)
        with ScanFile(scan_path) as scan:
            wire.send_header(scan.header_xml)
            for item in scan.items():
                wire.send(item)
        if is_whole:
            wire.send_close()
        return written.getvalue()

    @staticmethod
    def _run(stream: bytes, *arguments: object) -> subprocess.CompletedProcess:
        command = [COMMAND, "replay", *(str(argument) for argument in arguments)]
        return subprocess.run(command, input=stream, capture_output=True, timeout=60)

    def test_stream_in_and_stream_out(self, scan_path, write_config, tmp_path):
        config = write_config("image_per_readout")
        done = self._run(self._stream(scan_path), "--stdin", "--stdout", "-c", config)
        assert done.returncode == 0, done.stderr
        (tmp_path / "stream").write_bytes(done.stdout)
        with (tmp_path / "stream").open("rb") as source, (tmp_path / "sink").open("wb") as sink:
            images = list(Wire.from_files(source, sink, 5.0))
        assert [image.image_index for image in images] == list(range(1, N_ITEMS + 1))
        assert done.stdout.endswith(int(MessageId.CLOSE).to_bytes(2, "little"))

    def test_a_recorded_stream_is_a_scan_in_a_file(self, scan_path, write_config, tmp_path, output):
        recorded = tmp_path / "scan.mrd"
        recorded.write_bytes(self._stream(scan_path))
        asked = ("-c", write_config("image_per_readout"), "-l", "2", "--report", tmp_path / "report.html")
        done = self._run(b"", "-f", recorded, "-o", output, *asked)
        assert done.returncode == 0, done.stderr
        with h5py.File(output) as file:
            assert len(file["dataset/image_1/data"]) == N_ITEMS
            assert len(file["dataset_2/image_1/data"]) == N_ITEMS
        assert (tmp_path / "report.html").is_file()

    @pytest.mark.parametrize("n_bytes", [1, 200, -10], ids=["an id", "a header", "all but the end"])
    def test_a_recorded_stream_that_is_cut_short(self, scan_path, write_config, tmp_path, output, n_bytes):
        recorded = tmp_path / "scan.bin"
        recorded.write_bytes(self._stream(scan_path)[:n_bytes])
        done = self._run(b"", "-f", recorded, "-o", output, "-c", write_config("image_per_readout"))
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(b"error: ")
        assert recorded.name.encode() in done.stderr
        assert output.exists() == (n_bytes < 0)

    def test_the_streams_own_configuration_serves(self, scan_path, output):
        stream = self._stream(scan_path, find_config("radial_preview").read_text())
        done = self._run(stream, "--stdin", "-o", output)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b""
        with h5py.File(output) as file:
            assert len(file["dataset/image_1/data"]) == N_FRAMES

    def test_a_stream_runs_no_code_of_its_choice(self, scan_path, write_config, output):
        stream = self._stream(scan_path, write_config("image_per_readout").read_text())
        done = self._run(stream, "--stdin", "-o", output)
        assert done.returncode == 1
        assert b"runs sample_gadgets.image_per_readout; what comes with data" in done.stderr
        assert not output.exists()

    def test_a_stream_that_ends_early_is_an_error_after_its_images(self, scan_path, write_config, output):
        stream = self._stream(scan_path, is_whole=False)[:-10]
        done = self._run(stream, "--stdin", "-o", output, "-c", write_config("image_per_readout"))
        assert done.returncode == 1
        assert b"error: " in done.stderr
        with h5py.File(output) as file:
            assert len(file["dataset/image_1/data"]) == N_ITEMS - 1

    @pytest.mark.parametrize("stream", [b"", b"GET / HTTP/1.1\r\n\r\n"])
    def test_what_is_no_stream(self, stream, write_config, output):
        done = self._run(stream, "--stdin", "-o", output, "-c", write_config("image_per_readout"))
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ")
        assert not output.exists()

    def test_a_file_to_a_stream(self, scan_path, write_config):
        done = self._run(b"", "-f", scan_path, "--stdout", "-c", write_config("image_per_readout"))
        assert done.returncode == 0, done.stderr
        assert done.stdout[:2] == int(MessageId.IMAGE).to_bytes(2, "little")


class TestInterrupt:
    def test_ctrl_c_ends_the_gadgets_too(self, scan_path, write_config, output):
        arguments = ["-v", "replay", "-f", scan_path, "-o", output, "-c", write_config("says_its_number")]
        command = [str(item) for item in (COMMAND, *arguments)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            line = next(line for line in process.stderr if "my number is" in line)
            gadget = psutil.Process(int(line.split()[-1]))
            process.send_signal(signal.SIGINT)
            status = process.wait(timeout=20)
        assert status != 0
        assert not gadget.is_running()
        assert not output.exists()
        assert not list(output.parent.glob("*.part"))
