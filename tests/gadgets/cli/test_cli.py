"""The command line as a user calls it."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import yaml
from typer.testing import CliRunner

from gadgets.cli import app
from python_recon.config import Config, load_config, preset_names

runner = CliRunner()


def run(*arguments: object):
    """Exit status, stdout and stderr in one process with us."""
    return runner.invoke(app, [str(argument) for argument in arguments])


def error_of(result) -> str:
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_the_installed_command_tells_its_version():
    command = Path(sys.executable).with_name("gadgetron-pisco")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"gadgetron-pisco {importlib.metadata.version('gadgetron-pisco')}\n"


def test_methods_are_listed_without_torch():
    code = (
        "import sys; from typer.testing import CliRunner; from gadgets.cli import app;"
        "result = CliRunner().invoke(app, ['methods']); print(result.output);"
        "sys.exit(result.exit_code or ('torch' in sys.modules) * 2)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in preset_names():
        assert name in done.stdout
    assert "10.1109/42.97598" in done.stdout


def test_debug_shows_the_traceback(tmp_path):
    result = run("--debug", "info", tmp_path / "missing.h5")
    assert result.exit_code == 1
    assert type(result.exception).__name__ == "DataError"


class TestSimulate:
    def test_options_become_the_scan(self, tmp_path):
        path = tmp_path / "scan.h5"
        result = run(
            "simulate", path, "--matrix", 16, "--coils", 3, "--frames", 2, "--spokes-per-frame", 4,
            "--no-noise-scan", "--no-embed-trajectory", "--truth", tmp_path / "truth.h5",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines() == [str(path), str(tmp_path / "truth.h5")]
        with h5py.File(path) as file:
            heads = file["dataset/data"].fields("head")[:]
        assert len(heads) == 8
        assert set(heads["active_channels"]) == {3}
        assert set(heads["trajectory_dimensions"]) == {0}

    def test_values_out_of_range_name_the_option(self, tmp_path):
        assert "--spokes-per-frame" in error_of(
            run("simulate", tmp_path / "scan.h5", "--spokes-per-frame", 0)
        )

    def test_an_existing_file_is_kept(self, scan_path):
        assert "--overwrite" in error_of(run("simulate", scan_path, "--matrix", 16))


class TestConfig:
    def test_show_gives_what_load_config_gives(self):
        result = run(
            "config", "show", "cg_sense", "--set", "binning.spokes_per_frame=21", "--set", "device=cpu"
        )
        expected = load_config({"method": "cg_sense", "binning.spokes_per_frame": 21, "device": "cpu"})
        assert yaml.safe_load(result.stdout) == json.loads(expected.model_dump_json())

    def test_show_without_arguments_gives_the_defaults(self):
        assert yaml.safe_load(run("config", "show").stdout)["method"] == load_config().method

    def test_show_of_an_installed_configuration(self):
        assert yaml.safe_load(run("config", "show", "radial_cg_sense.xml").stdout)["method"] == "cg_sense"

    def test_unknown_settings_name_the_nearest(self):
        message = error_of(run("config", "show", "--set", "binning.spokes_per_frme=3"))
        assert "binning.spokes_per_frame" in message
        assert "key=value" in error_of(run("config", "show", "--set", "device"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("metod: grasp", "did you mean 'method'"),
            ("method: grsap", "did you mean 'grasp'"),
            ("options: {iteratons: 3}", "iteratons"),
            ("binning: {step: -1}", "binning.step"),
            ("- a list", "no settings"),
            ("a: [", "not well-formed YAML"),
        ],
    )
    def test_validate_refuses(self, tmp_path, text, message):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        assert message in error_of(run("config", "validate", path))

    def test_validate_accepts(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text("method: gridding\nbinning: {spokes_per_frame: 13}\n")
        result = run("config", "validate", path)
        assert (result.exit_code, result.stdout) == (0, "config.yaml: valid\n")

    def test_schema_is_the_models(self):
        assert json.loads(run("config", "schema").stdout) == json.loads(
            json.dumps(Config.model_json_schema())
        )


class TestInfo:
    def test_facts_and_surprises(self, scan_path):
        result = run("info", scan_path)
        assert result.exit_code == 0
        assert "42, of which 10 imaging" in result.stdout
        assert "!" not in result.stdout

    def test_bad_files(self, tmp_path):
        (tmp_path / "scan.h5").write_text("no")
        assert "not an HDF5 file" in error_of(run("info", tmp_path / "scan.h5"))


def test_doctor_says_what_is_there():
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "ok      numpy: " in result.stdout
