"""Small scans, and gadgets that wait, die or tell who they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.simulation.scan import SimulateOptions, simulate

runner = CliRunner()


@pytest.fixture(scope="session")
def one_slice(tmp_path_factory) -> Path:
    """A scan of one slice and two frames."""
    path = tmp_path_factory.mktemp("one_slice") / "scan.h5"
    simulate(path, SimulateOptions(matrix=16, coils=2, frames=2, spokes_per_frame=5, seed=3))
    return path


@pytest.fixture
def scans(one_slice, tmp_path) -> Path:
    """A folder with the scans a, b and c."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in "abc":
        shutil.copy2(one_slice, folder / f"{name}.h5")
    return folder


@pytest.fixture
def replay():
    """The command, as a user calls it."""

    def run(*arguments: object):
        return runner.invoke(app, ["replay", *map(str, arguments)])

    return run


@pytest.fixture
def write_config(tmp_path, monkeypatch):
    """Writes a configuration whose only gadget is a function of patient_gadgets."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def write(target: str, **properties: object) -> Path:
        items = "".join(f'<property name="{name}" value="{value}"/>' for name, value in properties.items())
        execute = f'<execute type="python" name="patient_gadgets" target="{target}"/>'
        node = f"<external>{execute}<configuration>{items}</configuration></external>"
        path = tmp_path / f"{target}.xml"
        path.write_text(f"<configuration><version>2</version><stream>{node}</stream></configuration>")
        return path

    return write


@pytest.fixture
def left_over():
    """Names of the hidden files and folders below a folder: whatever is not finished."""
    return lambda folder: [path.name for path in folder.rglob(".*")]
