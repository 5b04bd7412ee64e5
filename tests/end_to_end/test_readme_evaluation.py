"""``make evaluate`` and ``make table``, with smaller scans and fewer methods."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.simulation.scenes import SCENES
from python_recon.config import preset_names
from tests.readme import ROOT, TEXTS, command, shell

SMALL = "--scene-set matrix=32 --scene-set coils=2 --scene-set frames=3"
FEW = "SEEDS=1 SPOKES=4 STILL_SPOKES=8 METHODS=gridding,cg_sense FIGURE_METHODS=gridding"
TINY = "--matrix 32 --coils 2 --frames 3 --spokes-per-frame 5"


@pytest.mark.parametrize("start", ["make evaluate", "make EVALUATE=short evaluate"])
def test_make_evaluate_compares_the_scenes(tmp_path, start):
    """Nothing is installed: ``-o`` tells make that the environment of the tests is up to date."""
    environment, is_short = Path(sys.prefix), "short" in start
    variables = f"VENV={environment} EVALUATION={tmp_path} FIGURE={tmp_path / 'front.png'} {FEW}"
    line = f"{command(start)} -o {environment / '.installed'} {variables} DEMO='{TINY}' OPTIONS='{SMALL}'"
    shell(line, ROOT, MAKEFLAGS="", MAKEOVERRIDES="")
    scenes = {*SCENES} - {"cardiac", "still", *(["cardiac_slow"] if is_short else [])}
    for folder, scans in (("series", scenes), ("still", {"still"})):
        rows = json.loads((tmp_path / folder / "comparison.json").read_text())["rows"]
        compared = {(row["scan"], row["method"]) for row in rows}
        assert compared == {(scan, method) for scan in scans for method in ("gridding", "cg_sense")}
        assert all(row["scores"] for row in rows)
    assert (tmp_path / "evaluation.md").read_text().count("gridding") >= len(scenes) + 1
    assert (tmp_path / "front.png").exists() != is_short


def test_an_evaluation_of_another_kind_is_refused():
    done = subprocess.run(["make", "EVALUATE=quick", "evaluate"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "EVALUATE is quick; it can be full or short" in done.stderr


def test_the_short_evaluation_takes_its_methods_and_those_that_are_registered():
    line = ["make", "-n", "-o", "x/.installed", "VENV=x", "EVALUATE=short", "evaluate"]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    methods = said.split('--methods "')[1].split('"')[0].split(",")
    expected = ["gridding", "cg_sense", "grasp", "subspace", "nik", "pisco", "st_inr"]
    assert methods == expected + [name for name in ("motion", "zs_ssl") if name in preset_names()]


def test_make_table_measures_the_methods_of_the_front_page(tmp_path):
    """Numbers change, words stay, and so do the rows that are not measured."""
    environment, readme = Path(sys.prefix), Path(shutil.copy(ROOT / "README.md", tmp_path))
    simulate(tmp_path / "scan.h5", SimulateOptions(matrix=32, coils=3, frames=3, seed=2))
    variables = f"VENV={environment} OUT={tmp_path} README={readme} TABLE_METHODS=gridding,cg_sense"
    shell(f"make table -o {environment / '.installed'} {variables}", ROOT, MAKEFLAGS="", MAKEOVERRIDES="")
    changed = rows(readme.read_text())
    for method, (seconds, error, words) in rows(TEXTS["README.md"]).items():
        if method in ("gridding", "cg_sense"):
            assert changed[method][2] == words
            assert float(changed[method][0]) > 0
            assert changed[method][1] != error
        else:
            assert changed[method] == [seconds, error, words]
    assert float(changed["cg_sense"][1].rstrip(" %")) < float(changed["gridding"][1].rstrip(" %"))


def rows(text):
    """Seconds, error and words of each method on the front page."""
    table = text[text.index("<!-- table") : text.index("<!-- end of table")]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[3:] if line]
    return {method.strip("`"): cells for method, *cells in lines}
