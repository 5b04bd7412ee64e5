from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.simulate import SimulateOptions, simulate

runner = CliRunner()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A scan of two slices and its truth."""
    path = tmp_path_factory.mktemp("compare") / "scan.h5"
    options = SimulateOptions(matrix=32, coils=6, frames=3, spokes_per_frame=13, slices=2, noise=0.01)
    return path, simulate(path, options)


def compare(*arguments: object):
    return runner.invoke(app, ["compare", *(str(argument) for argument in arguments)])


def test_a_table_and_files_with_a_truth(simulated, tmp_path):
    scan, truth = simulated
    methods = ["--methods", "gridding, cg_sense"]
    result = compare("-f", scan, *methods, "--truth", truth, "--slice", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    rows = {row["method"]: row for row in json.loads((tmp_path / "comparison.json").read_text())["rows"]}
    assert rows["cg_sense"]["scores"]["nrmse"] < rows["gridding"]["scores"]["nrmse"]
    assert f"{rows['cg_sense']['scores']['nrmse']:.4f}" in result.stdout
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_held_out_spokes_without_a_truth(simulated):
    result = compare("-f", simulated[0], "--methods", "gridding", "--retrospective-spokes", 8)
    assert result.exit_code == 0, result.stderr
    assert "3 frames of 8 spokes, of 13 measured" in result.stdout
    assert "Held-out" in result.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "griding"], "did you mean 'gridding'"),
        (["--methods", ","], "give the methods"),
        (["--methods", "gridding", "--slice", 2], "has no slice 2; it has 0, 1"),
        (["--methods", "gridding", "--set", "binning.spokes=4"], "did you mean"),
    ],
)
def test_what_cannot_be_compared(simulated, arguments, message):
    result = compare("-f", simulated[0], *arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_truths_that_are_none(simulated, tmp_path):
    scan, _ = simulated
    assert "no truth" in compare("-f", scan, "--methods", "gridding", "--truth", tmp_path / "no.h5").stderr
    assert "no truth" in compare("-f", scan, "--methods", "gridding", "--truth", scan).stderr
    with h5py.File(tmp_path / "short.h5", "w") as file:
        file["images"] = np.zeros((1, 3, 32, 32), np.complex64)
    result = compare("-f", scan, "--methods", "gridding", "--truth", tmp_path / "short.h5", "--slice", 1)
    assert "has 1 slices" in result.stderr
