"""The outcomes as a file for people and one for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cuda_check import speed
from tests.cuda_check.running import Outcome, as_json

_TIMES = ("seconds", "target s", "floor s", "share", "steps", "set", "ended by", "peak MiB", "estimate MiB")
_EXPLAINED = (
    "Seconds from the prepared slice to all images; a fit that its deadline ended has not taken all steps. "
    "Floor: what the matrix products and FFTs of all steps take at the rates above, and its share of the "
    "seconds. Peak: of Torch's memory."
)


def write(folder: Path, conditions: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Replace both files by what is known now."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"conditions": conditions, "outcomes": as_json(list(outcomes))}
    _put(folder / "report.json", json.dumps(document, indent=1, allow_nan=True) + "\n")
    _put(folder / "report.md", markdown(conditions, outcomes))


def _put(path: Path, text: str) -> None:
    whole = path.with_suffix(".part")
    whole.write_text(text)
    whole.replace(path)


def markdown(conditions: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Conditions, the table of times, all checks, failures and warnings in full."""
    parts = [
        "# CUDA check",
        *(f"- {name}: {value}" for name, value in conditions.items()),
        "",
        count(outcomes),
    ]
    parts += ["", "## Times", "", _EXPLAINED, "", *_times(outcomes), "", "## Checks", "", *_table(outcomes)]
    for outcome in outcomes:
        if outcome.status == "failed":
            parts += [
                "",
                f"## Failed: {outcome.part}, {outcome.name}",
                "",
                "```",
                outcome.told.strip(),
                "```",
            ]
    heard = sorted({warning for outcome in outcomes for warning in outcome.warnings})
    if heard:
        parts += ["", "## Warnings", "", *(f"- {warning}" for warning in heard)]
    return "\n".join(parts) + "\n"


def count(outcomes: Sequence[Outcome]) -> str:
    """How many checks there were, and what became of them."""
    numbers = {
        status: sum(each.status == status for each in outcomes) for status in ("passed", "failed", "left out")
    }
    return f"{len(outcomes)} tests: " + ", ".join(f"{n} {status}" for status, n in numbers.items())


def _times(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [outcome for outcome in outcomes if outcome.part == speed.PART]
    lines = [_row(["", *_TIMES]), _row(["---"] * (1 + len(_TIMES)))]
    for outcome in rows:
        cells = [_cell(outcome.figures.get(name, "")) for name in _TIMES]
        lines.append(_row([outcome.name, *cells] if outcome.figures else [outcome.name, outcome.status]))
    return lines


def _table(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [_row(["part", "check", "", "s", "figures"]), _row(["---"] * 5)]
    for each in outcomes:
        figures = ", ".join(f"{name} {_cell(value)}" for name, value in each.figures.items())
        told = each.told.strip().splitlines()[-1] if each.told else figures
        lines.append(_row([each.part, each.name, each.status, f"{each.seconds:.1f}", told]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
