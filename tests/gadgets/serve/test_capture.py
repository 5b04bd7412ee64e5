"""The daemon keeps what its operator wants kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from gadgets.capture.recorder import CaptureOutcome

COMMAND = Path(sys.executable).with_name("gadgetron-pisco")
CONFIG = """{"method": "cg_sense", "preview_deadline_s": 600, "binning.spokes_per_frame": 17, "threads": 1,
"output.dtype": "float32"}"""


@pytest.fixture(scope="module")
def keeping_daemon(start_daemon, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    with start_daemon(folder, "--capture", str(folder / "kept"), "--capture-quota-gb", "0.002") as daemon:
        yield daemon
        assert daemon.end() == 0


@pytest.fixture
def folder(keeping_daemon):
    """Where the daemon keeps scans: empty."""
    folder = keeping_daemon.log_path.parent / "kept"
    for path in folder.iterdir():
        path.unlink()
    return folder


@pytest.fixture
def counted(keeping_daemon):
    """How many captures had an outcome since the test began."""

    def total(outcome):
        return keeping_daemon.metric(f'gadgetron_pisco_captures_total{{outcome="{outcome.value}"}}')

    before = {outcome: total(outcome) for outcome in CaptureOutcome}
    return lambda outcome: total(outcome) - before[outcome]


def whole_and_part(folder):
    return [len(list(folder.glob(pattern))) for pattern in ("*.h5", "*.part")]


def test_kept_scans_replay_to_the_same_images(keeping_daemon, folder, new_scan, tmp_path, patiently, counted):
    scan = new_scan()
    outcome = keeping_daemon.serve(scan, CONFIG)
    assert len(outcome.images) == 8
    patiently(lambda: counted(CaptureOutcome.KEPT) == 1, "the scan was to be kept")
    (path,) = folder.glob("*.h5")
    output = tmp_path / "images.h5"
    subprocess.run([COMMAND, "replay", "-f", path, "-o", output], check=True, capture_output=True)
    with h5py.File(output) as file:
        for series in (1, 2):
            images = [image for image in outcome.images if image.image_series_index == series]
            data = file[f"dataset/image_{series}/data"][:]
            assert [image.data.tobytes() for image in images] == [frame.tobytes() for frame in data]


def test_a_scan_that_goes_wrong_is_kept_if_it_came_whole(
    keeping_daemon, folder, new_scan, patiently, counted
):
    with keeping_daemon.connect() as client:
        client.greet(new_scan("dying"))
        client.send(new_scan().items[:40])
        patiently(lambda: whole_and_part(folder) == [0, 1], "the scan was to be written")
    patiently(lambda: counted(CaptureOutcome.BROKEN_OFF) == 1, "the capture was to be given up")
    assert keeping_daemon.lines("the stream broke off", "dying")
    assert whole_and_part(folder) == [0, 0]
    assert "no configuration" in keeping_daemon.serve(new_scan("unheard of"), name="unheard_of").error
    patiently(lambda: counted(CaptureOutcome.KEPT) == 1, "the scan was to be kept")
    assert keeping_daemon.lines("captured as", "unheard of")
    assert whole_and_part(folder) == [1, 0]


def test_a_scan_that_is_too_large_is_reconstructed_and_not_kept(
    keeping_daemon, folder, new_scan, patiently, counted
):
    """Three megabytes, where two may be kept: as on a disk that is full."""
    scan = new_scan("large")
    scan.items[1:] *= 14
    outcome = keeping_daemon.serve(scan)
    assert not outcome.errors
    assert len(outcome.images) == 28
    patiently(lambda: counted(CaptureOutcome.NO_ROOM) == 1, "the capture was to be given up")
    assert keeping_daemon.lines("quota of 0.002 GB is used up", "large")
    assert whole_and_part(folder) == [0, 0]


def test_the_capture_of_a_worker_that_dies_is_lost(keeping_daemon, folder, new_scan, patiently, counted):
    """What it wrote is a leftover, which the next scans remove."""
    with keeping_daemon.connect() as client:
        client.greet(new_scan("killed"))
        client.send(new_scan().items[:40])
        patiently(lambda: whole_and_part(folder) == [0, 1], "the scan was to be written")
        keeping_daemon.worker_of("killed").kill()
        assert "ended by SIGKILL" in client.receive().error
    patiently(lambda: counted(CaptureOutcome.LOST) == 1, "the capture was to be lost")
    (part,) = folder.iterdir()
    os.utime(part, (0, 0))
    keeping_daemon.serve(new_scan("next"))
    patiently(lambda: counted(CaptureOutcome.KEPT) == 1, "the next scan was to be kept")
    assert whole_and_part(folder) == [1, 0]


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    command = [COMMAND, "serve", "--capture", tmp_path / "file" / "folder"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be made" in done.stderr
