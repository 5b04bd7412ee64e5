"""The tables of the pages, written anew: ``python -m tests.tables [COMPARISON.json [README.md]]``.

Settings, options and references are those of the code. With the numbers of ``compare``, seconds and errors on
the front page are set as well; ``make table`` measures them. Words for the reader are left as they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from python_recon.config import load_preset, preset_names
from python_recon.fitting.keeping import KeepingOptions
from python_recon.methods.iconik import IconikOptions
from python_recon.methods.neural_kspace import FitOptions, NeuralKSpaceOptions
from python_recon.methods.registry import load_method
from tests.readme import BIN, ROOT

LIBRARY = ROOT / "python_recon/README.md"


def between(begin: str, end: str, text: str, change: Callable[[str], str]) -> str:
    """The text with what stands between two markers changed."""
    match = re.search(rf"<!-- {begin} -->\n(.*?)<!-- {end} -->", text, re.DOTALL)
    assert match, f"the page has no markers {begin!r} and {end!r}"
    return text[: match.start(1)] + change(match[1]) + text[match.end(1) :]


def settings_table() -> str:
    """As ``gadgetron-pisco config table`` prints it."""
    program = BIN / "gadgetron-pisco"
    return subprocess.run([program, "config", "table"], capture_output=True, text=True, check=True).stdout


def options_table() -> str:
    """Every option of the fits of k-space."""
    lines = ["| option | of | default | meaning |", "|---|---|---|---|"]
    for key, field in (NeuralKSpaceOptions.model_fields | IconikOptions.model_fields).items():
        meaning = " ".join(str(field.description).split())
        lines.append(f"| `{key}` | {_fits_with(key)} | `{json.dumps(field.default)}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _fits_with(key: str) -> str:
    if key in KeepingOptions.model_fields:
        return "all fits, also of images"
    if key in FitOptions.model_fields:
        return "all fits"
    return "iconik" if key in IconikOptions.model_fields else "nik, pisco, pisco_dist"


def method_cells(name: str) -> tuple[str, str]:
    """Options and defaults of a method, and its reference.

    Of the fits of k-space only what the preset sets: their defaults are a table of their own.
    """
    preset = load_preset(name)
    options = load_method(preset.implementation).options
    values, none = dict(preset.config.get("options", {})), "none of its own"
    if not issubclass(options, FitOptions):
        own = {
            k: field.default
            for k, field in options.model_fields.items()
            if k not in KeepingOptions.model_fields
        }
        values, none = own | values, "none"
    return ", ".join(f"`{k}` {json.dumps(value)}" for k, value in values.items()) or none, preset.reference


def library_page(text: str) -> str:
    """``python_recon/README.md`` as it should be."""
    text = between("settings: .*?", "end of settings", text, lambda _: settings_table())
    text = between("options of the fits", "end of options", text, lambda _: options_table())
    for name in preset_names():
        options, reference = method_cells(name)
        row = rf"^(\| `{name}` \|[^|\n]*\|)[^|\n]*(\|[^|\n]*\|)[^|\n]*\|$"
        text = re.sub(row, rf"\g<1> {options} \g<2> {reference} |", text, flags=re.MULTILINE)
    return text


def front_page(text: str, measured: dict, machine: str) -> str:
    """``README.md`` with the numbers of a comparison; rows that were not measured stay."""
    rows = {row["method"]: row for row in measured["rows"]}

    def renew(table: str) -> str:
        table = re.sub(r"^\| method \| seconds.*\|$", _head(machine), table, flags=re.MULTILINE)
        return re.sub(
            r"^\| `(\w+)` \|[^|]*\|[^|]*\|",
            lambda match: _row(rows[match[1]]) if match[1] in rows else match[0],
            table,
            flags=re.MULTILINE,
        )

    return between("table: .*?", "end of table", text, renew)


def _head(machine: str) -> str:
    return f"| method | seconds ({machine}) | error (NRMSE) | choose it for |"


def _row(row: dict) -> str:
    seconds = row["usage"]["seconds"]
    told = f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
    return f"| `{row['method']}` | {told} | {100 * row['scores']['nrmse']:.1f} % |"


def machine() -> str:
    """What the methods run on: the GPU, or the cores that they use."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")
    threads = min(int(os.environ.get("OMP_NUM_THREADS", 0)) or 1 << 16, len(os.sched_getaffinity(0)))
    return f"{model.replace('(R)', '')}, {threads} core{'s' if threads > 1 else ''}"


def main(measured: str | None = None, readme: str = str(ROOT / "README.md")) -> None:
    LIBRARY.write_text(library_page(LIBRARY.read_text()))
    if measured is not None:
        path = Path(readme)
        path.write_text(front_page(path.read_text(), json.loads(Path(measured).read_text()), machine()))


if __name__ == "__main__":
    main(*sys.argv[1:])
