"""A fit that is watched, and that is ended early."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from gadgets.console import TimeLeft
from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.translate.series import read_series
from gadgets.watching import told
from python_recon.data import FINAL_SERIES, PREVIEW_SERIES

COMMAND = (sys.executable, "-c", "from gadgets.cli import main; main()")
ENDLESS = ("--set", "options.steps=200000", "--set", "max_recon_seconds=600")


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.h5"
    simulate(path, SimulateOptions(matrix=24, coils=3, frames=3, spokes_per_frame=13, noise=0.01))
    return path


def test_the_fit_is_seen_and_the_first_ctrl_c_keeps_its_images(scan, tmp_path):
    output = tmp_path / "images.h5"
    arguments = ("-v", "replay", "-f", scan, "-c", "radial_nik", "-o", output, *ENDLESS)
    with subprocess.Popen([*map(str, (*COMMAND, *arguments))], stderr=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stderr if " of 200000" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        status = process.wait(timeout=60)
    assert "step" in line
    assert "Ctrl-C again aborts" in rest
    assert status == 0, rest
    series = list(read_series(output))
    assert {each.series_index for each in series} == {PREVIEW_SERIES, FINAL_SERIES}
    (comment,) = {each.comment for each in series if each.series_index == FINAL_SERIES}
    assert "ended early" in comment


@pytest.mark.parametrize(
    "line", ["", "progress: ", "progress: {}", 'progress: ["x"]', "INFO progress: [1, 2]"]
)
def test_other_lines_are_no_progress(line):
    assert told(line) is None


def test_a_line_of_progress():
    assert told('progress: ["slice 0, step 3 of 9", 0.25]') == ("slice 0, step 3 of 9", 0.25)


def test_the_time_left_follows_from_the_time_taken(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("gadgets.console.time.monotonic", lambda: now[0])
    left = TimeLeft()
    assert left.text(0.0) == ""
    now[0] += 10
    assert left.text(0.25) == ", about 30 s left"
    now[0] += 10
    assert left.text(0.0) == "", "something else has begun"
