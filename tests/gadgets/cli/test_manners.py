"""What a user expects of any command line."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.files.mrd_file import ScanFile
from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.translate.series import read_series
from python_recon.config import preset_names
from python_recon.errors import DataError
from tests.serving import free_ports


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("manners") / "scan.h5"
    simulate(path, SimulateOptions(matrix=24, coils=3, frames=2, spokes_per_frame=13))
    return path


@pytest.mark.parametrize("arguments", [("-h",), ("replay", "-h"), ("config", "-h"), ("config", "show", "-h")])
def test_h_is_help_everywhere(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_quiet_and_verbose_may_stand_behind_the_command(scan):
    assert run("info", scan, "-q").exit_code == 0
    assert run("info", "-v", scan).exit_code == 0


def test_a_method_shows_its_options():
    result = run("methods", "grasp")
    assert result.exit_code == 0
    assert "options.iterations" in result.stdout
    assert "did you mean 'grasp'" in run("methods", "gras").stderr


def test_what_replay_takes_by_name_is_listed():
    names = run("config", "list").stdout.split()
    assert "radial_grasp.xml" in names
    assert set(preset_names()) <= set(names)


def test_info_for_programs(scan):
    told = json.loads(run("info", "--json", scan).stdout)
    assert set(told) == {"facts", "surprises"}
    assert told["facts"]["Field strength (T)"] == "1.5"


def test_replay_takes_any_method_by_its_name(scan, tmp_path):
    result = run("replay", "-f", scan, "-c", "xd_grasp", "-o", tmp_path / "new" / "folder" / "images.h5")
    assert result.exit_code == 0, result.stderr
    assert any(each.series_index == 2 for each in read_series(tmp_path / "new" / "folder" / "images.h5"))


def test_nobody_waits_long_where_nothing_listens(scan, tmp_path):
    (port,) = free_ports(1)
    began = time.monotonic()
    result = run("replay", "-f", scan, "-p", port, "-c", "radial_grasp.xml", "-o", tmp_path / "images.h5")
    assert result.exit_code == 1
    assert f"nothing answers at localhost:{port}" in result.stderr
    assert time.monotonic() - began < 15


def test_files_that_our_converter_reads_are_sent_there(tmp_path):
    np.save(tmp_path / "raw.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"gadgetron-pisco convert .*raw\.npy"):
        ScanFile(tmp_path / "raw.npy", "dataset").__enter__()
