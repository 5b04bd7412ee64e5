"""The notebooks run from top to bottom, show what they say, and are kept without outputs."""

from __future__ import annotations

import json

import matplotlib
import matplotlib.pyplot as plt
import pytest

from tests.readme import ROOT

NOTEBOOKS = sorted((ROOT / "python_recon/notebooks").glob("*.ipynb"))


def cells(path, kind):
    """The sources of the cells of a kind."""
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


@pytest.fixture
def run():
    """Runs a notebook's cells in order; gives the names that they leave and the titles of the figures."""
    matplotlib.use("Agg")
    plt.close("all")

    def run(name):
        names: dict = {"__name__": name}
        for number, cell in enumerate(cells(ROOT / f"python_recon/notebooks/{name}.ipynb", "code")):
            exec(compile(cell, f"{name}, cell {number}", "exec"), names)
        titles = [axes.get_title() for n in plt.get_fignums() for axes in plt.figure(n).axes]
        return names, [title for title in titles if title]

    yield run
    plt.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_own_arrays_become_images(run, capsys):
    names, titles = run("own_arrays")
    assert len(titles) == 3
    assert names["error"](names["gridded"].images) > 2 * names["error"](names["series"].images)
    said = capsys.readouterr().out
    assert "it looks like -0.5..0.5; multiply it by 64" in said
    assert "coil maps: given" in said


def test_pisco_fills_what_was_not_measured(run):
    names, titles = run("pisco_loss")
    assert len(titles) == 3
    assert names["errors"]["with PISCO"] < 0.8 * names["errors"]["data term alone"]
