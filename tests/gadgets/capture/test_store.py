"""The folder of captured scans keeps to its quota, and a disk that fails costs the capture only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gadgets.capture.recorder import FOLDER_VARIABLE, CaptureOutcome, CaptureSettings, Recorder
from gadgets.capture.store import CaptureFile, Store
from gadgets.wire.header import parse_header
from python_recon.errors import StreamError

LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
"""
HOLDING = """
import sys, time
from pathlib import Path
from gadgets.capture.store import CaptureFile, Store
with CaptureFile(Store(Path(sys.argv[1]), 10**6)) as file:
    file.write(b"half a scan")
    print(file.path.name, flush=True)
    time.sleep(600)
"""


def write_scan(store, n_bytes):
    """A whole file of a store; its name without the number of the process."""
    with CaptureFile(store) as file:
        for _ in range(n_bytes // 1000):
            file.write(bytes(1000))
        file.check()
        file.commit()
    return file.path.name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def record(folder, items, header_xml, quota_gb=1.0):
    """Have items recorded as a stream's reader does, here without one; what is told of it, now or later."""
    told = []
    recorder = Recorder(CaptureSettings(folder, quota_gb), parse_header(header_xml.encode()), told.append)
    assert list(recorder.passing(items)) == items
    recorder.await_end()
    return told


# The quota


def test_the_oldest_make_room(tmp_path):
    store = Store(tmp_path, 10_000)
    written = [write_scan(store, 3000) for _ in range(5)]
    assert names(tmp_path) == written[-3:]


def test_room_is_made_for_scans_that_are_whole_only(tmp_path):
    store = Store(tmp_path, 10_000)
    first, second, third = (write_scan(store, 3000) for _ in range(3))
    with CaptureFile(store) as file:
        file.write(bytes(7000))
        assert names(tmp_path) == sorted([first, second, third, file.path.name])
        file.check()
        file.commit()
    assert names(tmp_path) == sorted([third, file.path.name])


def test_a_scan_beyond_the_quota_costs_itself_only(blob_scan, tmp_path):
    kept = [write_scan(Store(tmp_path, 10**5), 40_000) for _ in range(2)]
    assert record(tmp_path, blob_scan.items, blob_scan.header_xml, quota_gb=1e-4) == [CaptureOutcome.NO_ROOM]
    assert names(tmp_path) == kept


def test_a_scan_that_breaks_off_costs_itself_only(blob_scan, tmp_path):
    kept = [write_scan(Store(tmp_path, 10**6), 400_000) for _ in range(2)]
    told = []
    header = parse_header(blob_scan.header_xml.encode())
    recorder = Recorder(CaptureSettings(tmp_path, 1e-3), header, told.append)

    def broken_off():
        yield from 4 * blob_scan.items
        raise StreamError("the peer went away")

    with pytest.raises(StreamError):
        list(recorder.passing(broken_off()))
    recorder.await_end()
    assert told == [CaptureOutcome.BROKEN_OFF]
    assert names(tmp_path) == kept


def test_nothing_else_is_removed(tmp_path):
    """Neither what has other names, nor what lies elsewhere, nor what others are writing."""
    (tmp_path / "scan.h5").write_bytes(bytes(50_000))
    (tmp_path / "capture-notes.h5").write_bytes(bytes(50_000))
    precious = tmp_path / "elsewhere" / "precious.h5"
    precious.parent.mkdir()
    precious.write_bytes(bytes(50_000))
    (tmp_path / "capture-20000101T000000.000000Z-1.h5").symlink_to(precious)
    before = names(tmp_path)
    store = Store(tmp_path, 5000)
    with CaptureFile(store) as other:
        other.write(bytes(3000))
        with CaptureFile(store) as file:
            file.write(bytes(3000))
            with pytest.raises(OSError, match="quota"):
                file.check()
        assert names(tmp_path) == sorted([*before, other.path.name])
    assert names(tmp_path) == before
    assert precious.exists()


def test_a_scan_beyond_the_quota_is_not_kept(blob_scan, tmp_path, caplog):
    told = record(tmp_path, blob_scan.items, blob_scan.header_xml, quota_gb=1e-4)
    assert told == [CaptureOutcome.NO_ROOM]
    assert names(tmp_path) == []
    assert caplog.text.count("the quota of 0.0001 GB is used up") == 1


# Leftovers


def test_what_a_dead_process_left_is_removed(tmp_path):
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        long_ago = time.time() - 3600
        os.utime(tmp_path / name, (long_ago, long_ago))
        kept = write_scan(Store(tmp_path, 10**6), 1000)
        assert names(tmp_path) == sorted([name, kept])  # it still lives, and holds the file
        process.send_signal(signal.SIGKILL)
    other = write_scan(Store(tmp_path, 10**6), 1000)
    assert names(tmp_path) == sorted([kept, other])


# The disk


def test_a_full_disk_costs_the_capture_only(blob_scan, tmp_path, run_gadget, monkeypatch):
    """Files cannot grow beyond 100 kB; the scan has twice as much."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    (tmp_path / "sitecustomize.py").write_text(LIMITED)
    properties = {"method": "gridding", "preview": "none", "binning.spokes_per_frame": 34}
    outcome = run_gadget(blob_scan, python_path=tmp_path, **properties)
    assert outcome.errors == []
    assert len(outcome.items) == 2
    assert outcome.exit_status == 0
    assert outcome.log.count("given up") == 1
    assert "File too large" in outcome.log
    assert names(tmp_path / "kept") == []


def test_a_folder_that_cannot_be_made(blob_scan, tmp_path, caplog):
    (tmp_path / "file").touch()
    told = record(tmp_path / "file" / "folder", blob_scan.items, blob_scan.header_xml)
    assert told == [CaptureOutcome.FAILED]
    assert caplog.text.count("given up: [Errno") == 1


def test_a_disk_that_hangs_is_not_waited_for(blob_scan, tmp_path, caplog, monkeypatch):
    """The scan passes; what was written is removed when the disk answers again."""
    monkeypatch.setattr("gadgets.capture.recorder._MAX_BACKLOG_BYTES", 100_000)
    answers = threading.Event()
    write_all = CaptureFile._write_all
    monkeypatch.setattr(CaptureFile, "_write_all", lambda *each: answers.wait(60) and write_all(*each))
    started = time.monotonic()
    told = record(tmp_path, blob_scan.items, blob_scan.header_xml)
    assert time.monotonic() - started < 10
    assert caplog.text.count("given up") == caplog.text.count("the disk is too slow") == 1
    answers.set()
    (writer,) = (thread for thread in threading.enumerate() if thread.name == "capture")
    writer.join(10)
    assert names(tmp_path) == []
    assert told == [CaptureOutcome.SLOW_DISK]
