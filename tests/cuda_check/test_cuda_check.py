"""The check itself, on the CPU: so that it is known to work before there is a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from python_recon.config import preset_names
from tests.cuda_check.report import count, markdown
from tests.cuda_check.running import Check, LeftOutError, run_all
from tests.cuda_check.speed import TARGETS_S

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "tests.cuda_check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def test_all_parts_run_on_the_cpu_and_are_reported(tmp_path):
    done = run("--device", "cpu", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["conditions"]["torch"] == torch.__version__
    outcomes = {(each["part"], each["name"]): each for each in report["outcomes"]}
    for part in ("methods", "speed"):
        names = {name for found, name in outcomes if found == part}
        assert set(preset_names()) <= names, "methods are those of the presets"
    assert all(each["status"] != "failed" for each in outcomes.values())
    left_out = [each["name"] for each in outcomes.values() if each["status"] == "left out"]
    assert left_out == ["hash grid by Triton and by Torch"]
    speeds = [outcomes["speed", name]["figures"] for name in preset_names()]
    assert all(each["floor s"] > 0 and 0 < each.get("share", 0.5) < 1 for each in speeds)
    text = (tmp_path / "report.md").read_text()
    assert all(f"| {name} |" in text for name in TARGETS_S)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_there_are_no_tests(tmp_path):
    done = run("--out", str(tmp_path / "none"))
    assert done.returncode == 0
    assert done.stdout.strip().endswith("finds no CUDA device: 0 tests")
    assert not (tmp_path / "none").exists()


def failing():
    raise ValueError("not as expected")


def left_out():
    raise LeftOutError("no such device")


def warning():
    warnings.warn("careful", stacklevel=1)
    return {"error": 0.5}


def swallowing():
    """As a method that goes on whatever happens."""
    while True:
        try:
            time.sleep(10)
        except Exception:
            continue


def test_a_failure_does_not_end_the_run_and_is_listed():
    told = []
    checks = [Check("part", work.__name__, work, 0.6) for work in (failing, left_out, swallowing, warning)]
    outcomes = run_all(checks, 60.0, lambda so_far: told.append(len(so_far)))
    assert [each.status for each in outcomes] == ["failed", "left out", "failed", "passed"]
    assert told == [1, 2, 3, 4]
    assert "not as expected" in outcomes[0].told
    assert outcomes[2].told == "not done after 1 s"
    assert outcomes[3].warnings == ["UserWarning: careful"]
    text = markdown({}, outcomes)
    assert "## Failed: part, failing" in text
    assert "- UserWarning: careful" in text
    assert count(outcomes) == "4 tests: 1 passed, 2 failed, 1 left out"


def test_when_the_time_is_over_the_rest_is_left_out():
    checks = [Check("part", str(number), lambda: time.sleep(0.3) or {}, 60.0) for number in range(4)]
    outcomes = run_all(checks, 1.0, lambda _: None)
    assert outcomes[0].status == "passed"
    assert outcomes[-1].told == "no time was left"
