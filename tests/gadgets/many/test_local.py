"""Many scans on one machine: results, resuming, failures, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import psutil
import pytest

COMMAND = Path(sys.executable).with_name("gadgetron-pisco")


def rows(result) -> dict[str, str]:
    """Outcome of each scan, as the table says."""
    words = [line.split() for line in result.stdout.splitlines()]
    return {Path(line[0]).stem: line[1] for line in words if line and line[0].endswith(".h5")}


def n_images(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return sum(len(series["data"]) for name, series in file["dataset"].items() if name.startswith("im"))


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


class TestResults:
    def test_a_folder_becomes_a_folder_and_a_bad_file_stops_nothing(self, replay, scans, out, write_config):
        (scans / "bad.h5").write_text("no scan")
        config = write_config("counts", diary=scans)
        result = replay("-f", scans, "-c", config, "-o", out, "--workers", 2)
        assert result.exit_code == 1
        assert rows(result) == {"a": "done", "b": "done", "bad": "failed", "c": "done"}
        assert "4 scans: 3 done, 1 failed" in result.stdout
        assert "not an HDF5 file" in result.stdout.replace("\n", " ")
        assert sorted(path.name for path in out.iterdir()) == ["a.h5", "b.h5", "bad.h5.log", "c.h5"]
        assert [n_images(out / f"{name}.h5") for name in "abc"] == [1, 1, 1]

    def test_workers_share_cores_and_gpus(self, replay, scans, out, tmp_path, write_config, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        diary = tmp_path / "diary"
        diary.mkdir()
        config = write_config("counts", diary=diary)
        assert replay("-f", scans, "-c", config, "-o", out, "--workers", 2).exit_code == 0
        n_threads = max(1, len(os.sched_getaffinity(0)) // 2)
        assert {path.read_text() for path in diary.iterdir()} == {f"{n_threads} 3", f"{n_threads} 5"}

    def test_views_have_the_names_of_the_scans(self, replay, scans, out, tmp_path, write_config):
        config = write_config("counts", diary=tmp_path)
        arguments = ["-f", scans / "a.h5", "-f", scans / "b.h5", "-c", config, "-o", out]
        assert replay(*arguments, "--preview", tmp_path / "views").exit_code == 0
        assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["a", "b"]
        assert list((tmp_path / "views" / "a").glob("*.png"))

    def test_pipes_are_refused(self, replay, scans, out):
        result = replay("-f", scans, "-c", "radial_preview", "-o", out, "--stdout")
        assert "not --stdin, --stdout" in result.stderr


class TestCrashes:
    def test_a_process_that_is_killed_costs_no_other_scan(
        self, replay, scans, out, tmp_path, write_config, left_over
    ):
        config = write_config("kills_its_parent_once", diary=tmp_path)
        result = replay("-f", scans, "-c", config, "-o", out)
        assert result.exit_code == 1
        assert sorted(rows(result).values()) == ["done", "done", "failed"]
        assert "SIGKILL; out of memory?" in result.stdout.replace("\n", " ")
        assert set(rows(replay("-f", scans, "-c", config, "-o", out)).values()) == {"done", "skipped"}
        assert not left_over(out)

    def test_ctrl_c_ends_everything_and_leaves_no_half_file(self, scans, out, tmp_path, write_config):
        config = write_config("waits", diary=tmp_path)
        command = [COMMAND, "replay", "-f", scans, "-c", config, "-o", out, "--workers", "2"]
        with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 60
            while len(list(tmp_path.glob("begun_*"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            gadgets = [int(path.name.removeprefix("begun_")) for path in tmp_path.glob("begun_*")]
            process.send_signal(signal.SIGINT)
            status = process.wait(timeout=30)
        assert status != 0
        assert len(gadgets) == 2
        assert not any(psutil.pid_exists(gadget) for gadget in gadgets)
        assert list(out.iterdir()) == []
