"""``make evaluate`` and ``make table``, with smaller scans and fewer methods."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from gadgets.simulation.scan import SimulateOptions, simulate
from tests.readme import ROOT, TEXTS, command, shell

SMALL = "--seeds 1 --retrospective-spokes 4 --scene-set matrix=32 --scene-set coils=2 --scene-set frames=3"


def test_make_evaluate_compares_the_scenes(tmp_path):
    """Nothing is installed: ``-o`` tells make that the environment of the tests is up to date."""
    environment = Path(sys.prefix)
    variables = f"VENV={environment} EVALUATION={tmp_path / 'evaluation'} METHODS=gridding,cg_sense"
    line = f"{command('make evaluate')} -o {environment / '.installed'} {variables} OPTIONS='{SMALL}'"
    shell(line, ROOT, MAKEFLAGS="", MAKEOVERRIDES="")
    rows = json.loads((tmp_path / "evaluation/comparison.json").read_text())["rows"]
    compared = {(row["scan"], row["method"]) for row in rows}
    assert compared == {
        (scan, method) for scan in ("cardiac_slow", "cardiac_fast") for method in ("gridding", "cg_sense")
    }


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
