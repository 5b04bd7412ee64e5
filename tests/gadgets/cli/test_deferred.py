"""Commands that are imported when they run."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gadgets.cli import COMMANDS, app


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_shows_what_the_command_says_of_itself(name):
    command = COMMANDS[name].load()
    assert inspect.cleandoc(command.help).splitlines()[0] == COMMANDS[name].summary


def test_help_imports_nothing_that_takes_long():
    code = (
        "import sys; from typer.testing import CliRunner; from gadgets.cli import app;"
        "assert 'simulate' in CliRunner().invoke(app, ['--help']).output;"
        "print(*{'numpy', 'scipy', 'ismrmrd', 'h5py', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_name_that_is_nearly_right_is_suggested():
    result = CliRunner().invoke(app, ["repaly"])
    assert result.exit_code == 2
    assert "'replay'" in result.output


def test_a_command_shows_its_own_options():
    result = CliRunner().invoke(app, ["replay", "--help"])
    assert result.exit_code == 0
    assert "replay [OPTIONS]" in result.output
    assert "--config" in result.output
