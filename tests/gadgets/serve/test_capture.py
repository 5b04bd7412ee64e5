"""The daemon keeps what its operator wants kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

COMMAND = Path(sys.executable).with_name("gadgetron-pisco")
CONFIG = """{"method": "cg_sense", "binning.spokes_per_frame": 17, "threads": 1, "output.dtype": "float32"}"""


@pytest.fixture(scope="module")
def keeping_daemon(start_daemon, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    with start_daemon(folder, "--capture", str(folder / "kept"), "--capture-quota-gb", "0.1") as daemon:
        yield daemon
        assert daemon.end() == 0


@pytest.fixture
def folder(keeping_daemon):
    """Where the daemon keeps scans: empty."""
    folder = keeping_daemon.log_path.parent / "kept"
    for path in folder.iterdir():
        path.unlink()
    return folder


def whole_and_part(folder):
    return [len(list(folder.glob(pattern))) for pattern in ("*.h5", "*.part")]


def test_kept_scans_replay_to_the_same_images(keeping_daemon, folder, new_scan, tmp_path, patiently):
    scan = new_scan()
    outcome = keeping_daemon.serve(scan, CONFIG)
    assert len(outcome.images) == 8
    patiently(lambda: keeping_daemon.lines("captured as", "blob"), "the scan was to be kept")
    (path,) = folder.glob("*.h5")
    output = tmp_path / "images.h5"
    subprocess.run([COMMAND, "replay", "-f", path, "-o", output], check=True, capture_output=True)
    with h5py.File(output) as file:
        for series in (1, 2):
            images = [image for image in outcome.images if image.image_series_index == series]
            data = file[f"dataset/image_{series}/data"][:]
            assert [image.data.tobytes() for image in images] == [frame.tobytes() for frame in data]


def test_a_scan_that_goes_wrong_is_kept_if_it_came_whole(keeping_daemon, folder, new_scan, patiently):
    with keeping_daemon.connect() as client:
        client.greet(new_scan("dying"))
        client.send(new_scan().items[:40])
        patiently(lambda: whole_and_part(folder) == [0, 1], "the scan was to be written")
    patiently(lambda: keeping_daemon.lines("the stream broke off", "dying"), "the capture was to be given up")
    assert whole_and_part(folder) == [0, 0]
    assert "no configuration" in keeping_daemon.serve(new_scan("unheard of"), name="unheard_of").error
    patiently(lambda: keeping_daemon.lines("captured as", "unheard of"), "the scan was to be kept")
    assert whole_and_part(folder) == [1, 0]


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    command = [COMMAND, "serve", "--capture", tmp_path / "file" / "folder"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be made" in done.stderr
