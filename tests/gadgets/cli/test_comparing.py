from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.cli.own_options import own_options
from gadgets.simulation.scan import SimulateOptions, simulate

runner = CliRunner()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A scan of two slices and its truth."""
    path = tmp_path_factory.mktemp("compare") / "scan.h5"
    options = SimulateOptions(matrix=32, coils=4, frames=3, spokes_per_frame=13, slices=2, noise=0.01)
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
    assert f"{rows['cg_sense']['scores']['nrmse']:.3f}" in result.stdout
    assert f"**{rows['cg_sense']['scores']['nrmse']:.3f}**" in (tmp_path / "comparison.md").read_text()
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_held_out_spokes_without_a_truth(simulated):
    result = compare("-f", simulated[0], "--methods", "gridding", "--retrospective-spokes", 8)
    assert result.exit_code == 0, result.stderr
    assert "3 frames of 8 spokes, of 13 measured" in result.stdout
    assert "Held-out" in result.stdout.replace("\n", " ")


def test_a_row_for_every_scan_number_of_spokes_and_method(simulated, tmp_path):
    scan, truth = simulated
    again = tmp_path / "again.h5"
    again.symlink_to(scan)
    result = compare(
        *("-f", scan, "-f", again, "--truth", truth, "--truth", truth, "--methods", "gridding"),
        *("--retrospective-spokes", "13, 5", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    found = [tuple(line[:3]) for line in lines if line[2:3] == ["gridding"]]
    assert found == [(name, spokes, "gridding") for name in ("scan", "again") for spokes in ("13", "5")]
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    errors = {(row["scan"], row["spokes"], row["method"]): row["scores"]["nrmse"] for row in rows}
    assert errors["scan", "5", "gridding"] > errors["scan", "13", "gridding"]
    assert errors["scan", "5", "gridding"] == pytest.approx(errors["again", "5", "gridding"])
    figures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert figures == ["comparison_again.png", "comparison_scan.png"]


def test_the_evaluation_in_one_command(tmp_path):
    small = [f"--scene-set={change}" for change in ("matrix=24", "coils=4", "frames=3", "noise=0.01")]
    result = compare(
        *("--simulate", "cardiac_fast", *small, "--seeds", 2, "--methods", "gridding"),
        *("--retrospective-spokes", "14,4", "--normalisation", "percentile", "--out", tmp_path),
    )
    assert result.exit_code == 0, result.stderr
    numbers = json.loads((tmp_path / "comparison.json").read_text())
    assert numbers["normalisation"] == "percentile"
    groups = [(row["scan"], row["spokes"], row["n_repeats"]) for row in numbers["summary"]]
    assert groups == [("cardiac_fast", "14", 2), ("cardiac_fast", "4", 2)]
    first = numbers["summary"][0]
    assert f"{first['means']['psnr']:.2f} ± {first['spreads']['psnr']:.2f}" in result.stdout
    assert (tmp_path / "comparison.png").exists()


def test_no_number_is_cut_short(simulated, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    scan, truth = simulated
    result = compare("-f", scan, "--truth", truth, "--methods", "gridding", "--retrospective-spokes", "13,5")
    assert "…" not in result.stdout
    assert "FSIM y-t" in result.stdout


def test_numbers_are_kept_when_a_later_scan_fails(simulated, tmp_path):
    scan, _ = simulated
    result = compare("-f", scan, "-f", tmp_path / "none.h5", "--methods", "gridding", "--out", tmp_path)
    assert result.exit_code == 1
    assert "none.h5" in result.stderr
    assert len(json.loads((tmp_path / "comparison.json").read_text())["rows"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "griding"], "did you mean 'gridding'"),
        (["--methods", ","], "give the methods"),
        (["--methods", "gridding", "--slice", 2], "has no slice 2; it has 0, 1"),
        (["--methods", "gridding", "--set", "binning.spokes=4"], "did you mean"),
        (["--methods", "grasp", "--set", "options.iteration=4"], "did you mean 'iterations'"),
        (["--methods", "grasp", "--set", "grasp.iteration=4"], "did you mean 'iterations'"),
        (["--methods", "gridding", "--set", "grasp.iterations=4"], "grasp"),
        (["--methods", "gridding", "--retrospective-spokes", "8,x"], "whole numbers from 1"),
        (["--methods", "gridding", "--retrospective-spokes", "0"], "whole numbers from 1"),
        (["--methods", "gridding", "--retrospective-spokes", ","], "whole numbers from 1"),
        (["--methods", "gridding", "--simulate", "heart"], "unknown scene 'heart'"),
        (["--methods", "gridding", "--seeds", "2"], "name them with --simulate"),
    ],
)
def test_what_cannot_be_compared(simulated, arguments, message):
    result = compare("-f", simulated[0], *arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_options_of_each_method_and_of_all():
    general, options = own_options(
        ["gridding", "cg_sense", "grasp"],
        {"options.iterations": 3, "grasp.iterations": 5, "binning.spokes_per_frame": 8},
    )
    assert general == {"binning.spokes_per_frame": 8}
    assert options == {"cg_sense": {"iterations": 3}, "grasp": {"iterations": 5}}


def test_a_comparison_is_not_replaced_unasked(simulated, tmp_path):
    arguments = ("-f", simulated[0], "--methods", "gridding", "--out", tmp_path)
    assert compare(*arguments).exit_code == 0
    again = compare(*arguments)
    assert again.exit_code == 1
    assert "comparison.json" in again.stderr
    assert "--overwrite" in again.stderr
    assert compare(*arguments, "--overwrite").exit_code == 0


def test_nothing_to_compare_on():
    result = compare("--methods", "gridding")
    assert result.exit_code == 1
    assert "give a scan" in result.stderr


def test_a_truth_for_every_scan_or_for_none(simulated):
    scan, truth = simulated
    result = compare("-f", scan, "-f", scan, "--truth", truth, "--methods", "gridding")
    assert "there are 2 scans and 1 truths" in result.stderr


def test_truths_that_are_none(simulated, tmp_path):
    scan, _ = simulated
    assert "no truth" in compare("-f", scan, "--methods", "gridding", "--truth", tmp_path / "no.h5").stderr
    assert "no truth" in compare("-f", scan, "--methods", "gridding", "--truth", scan).stderr
    with h5py.File(tmp_path / "short.h5", "w") as file:
        file["images"] = np.zeros((1, 3, 32, 32), np.complex64)
    result = compare("-f", scan, "--methods", "gridding", "--truth", tmp_path / "short.h5", "--slice", 1)
    assert "has 1 slices" in result.stderr
