"""``make evaluate``, with smaller scans than those that were published."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.readme import ROOT, command, shell

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
