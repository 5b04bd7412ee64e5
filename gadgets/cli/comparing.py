"""``compare``: methods side by side, on one or several scans."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gadgets.console import output, parse_settings, progress
from gadgets.replay.properties import parse_value
from gadgets.simulation.scenes import SCENES
from python_recon.config import load_config, load_preset
from python_recon.errors import ConfigError
from python_recon.resources.new_files import new_file, require_free

if TYPE_CHECKING:
    from python_recon.evaluation.runs import Case
    from python_recon.evaluation.summary import Evaluation
    from python_recon.evaluation.table import Table as Scores

_NUMBERS = "comparison.json"
_WIDE = 10_000
"""Columns of a screen that has room for everything."""


def compare(
    methods: Annotated[str, typer.Option(help="Names, with commas between them; see `methods`.")],
    scans: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="ISMRMRD file with a scan; repeatable.")
    ] = None,
    truths: Annotated[
        list[Path] | None,
        typer.Option("--truth", help="Truth of each --file in turn, as `simulate` writes it."),
    ] = None,
    scenes: Annotated[
        str | None,
        typer.Option("--simulate", help=f"Scans to simulate, with commas: {', '.join(SCENES)}."),
    ] = None,
    scene_settings: Annotated[
        list[str] | None,
        typer.Option("--scene-set", help="key=value, an option of `simulate` for all scenes; repeatable."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of seeds with which each scene is simulated.")
    ] = 1,
    retrospective_spokes: Annotated[
        str | None, typer.Option(help="How many spokes of every frame are kept, such as 14,8,4,2.")
    ] = None,
    normalisation: Annotated[
        Literal["least_squares", "percentile"],
        typer.Option(
            help="How images are scaled before they are scored; percentile as published with PISCO."
        ),
    ] = "least_squares",
    slice_number: Annotated[int, typer.Option("--slice", min=0, help="Slice to compare on.")] = 0,
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scans.")] = "dataset",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the table (Markdown), all numbers (JSON) and figures.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a comparison that --out holds.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value for all methods that have it; METHOD.key=value for one; repeatable."
        ),
    ] = None,
) -> None:
    """Compare methods: errors, time and memory, on one slice of every scan.

    With a truth the errors are those of the images. Without one, spokes are held out from all methods, and
    the errors are those of the spokes that the images predict. Scans come from files or are simulated with
    the published dimensions of a cardiac evaluation: 25 frames, 208 matrix, 22 coils, 14 spokes a frame.
    """
    names = [load_preset(name).name for name in _words(methods)]
    if not names:
        raise ConfigError("give the methods to compare, for example --methods gridding,cg_sense")
    from gadgets.cli.own_options import own_options
    from gadgets.cli.sources import SliceReader, simulated_sources, sources_from_files
    from python_recon.evaluation.runs import evaluate

    general, options = own_options(names, _parsed(settings))
    config = load_config(general)
    if out is not None:
        require_free(out / _NUMBERS, overwrite=overwrite)
    if scenes is None and (seeds > 1 or scene_settings):
        raise ConfigError("--seeds and --scene-set are for simulated scans: name them with --simulate")
    reader = SliceReader(config, slice_number, group)
    sources = sources_from_files(scans or [], truths or [], reader)
    sources += simulated_sources(_words(scenes or ""), seeds, _parsed(scene_settings), reader)
    if not sources:
        raise ConfigError("give a scan (-f scan.h5) or scenes (--simulate cardiac) to compare on")
    run = partial(
        evaluate, options=options, spokes=_spokes(retrospective_spokes), normalisation=normalisation
    )
    result = _evaluate(partial(run, sources, names, config), out)
    _print(result)
    if out is not None:
        _write(result, out)
    if not result.has_images:
        raise typer.Exit(1)


def _words(text: str) -> list[str]:
    """The different words between commas."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _parsed(settings: list[str] | None) -> dict[str, Any]:
    return {key: parse_value(text) for key, text in parse_settings(settings or []).items()}


def _spokes(text: str | None) -> list[int | None]:
    """The numbers of spokes to keep; a lone None where all are kept."""
    if text is None:
        return [None]
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) for word in words):
        raise ConfigError(f"--retrospective-spokes {text!r}: give whole numbers from 1, such as 14,8,4,2")
    return [int(word) for word in words]


def _evaluate(run: Callable[..., Iterator[Case]], out: Path | None) -> Evaluation:
    """Run everything; the numbers so far are on the disk whenever a case is done."""
    from python_recon.evaluation.summary import Evaluation

    result = Evaluation(())
    with progress() as report:
        for case in run(report=report):
            result = Evaluation((*result.cases, case))
            if out is not None:
                _write_numbers(result, out)
    return result


def _print(result: Evaluation) -> None:
    table = _on_screen(result.as_table())
    needed = Measurement.get(output, output.options.update(max_width=_WIDE), table)
    # A number that is cut short says something else: what is too wide for the screen runs over its edge.
    width = max(output.width, needed.minimum) if output.is_terminal else needed.maximum
    Console(width=width).print(table)
    for note in result.notes:
        output.print(note, markup=False, highlight=False, soft_wrap=True)


def _on_screen(scores: Scores) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, *cells in list(zip(scores.header, *scores.rows, strict=True))[:-1]:
        table.add_column(title, no_wrap=True, min_width=max(map(len, (title, *cells))))
    table.add_column(scores.header[-1], overflow="fold")
    for row, cells in enumerate(scores.rows):
        table.add_row(
            *(Text(cell, "bold" if (row, column) in scores.best else "") for column, cell in enumerate(cells))
        )
        if row in scores.ends and row + 1 < len(scores.rows):
            table.add_row()
    return table


def _write_numbers(result: Evaluation, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    numbers, table = folder / _NUMBERS, folder / "comparison.md"
    with new_file(numbers) as part:
        part.write_text(json.dumps(result.as_json(), indent=2), encoding="utf-8")
    lines = [result.as_table().as_markdown(), *(f"- {note}" for note in result.notes)]
    with new_file(table) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [numbers, table]


def _write(result: Evaluation, folder: Path) -> None:
    from python_recon.outputs.figure import write_figure

    paths = _write_numbers(result, folder)
    blocks = result.blocks()
    for scan, drawn in blocks.items():
        name = (
            "comparison.png" if len(blocks) == 1 else f"comparison_{re.sub('[^A-Za-z0-9_-]+', '-', scan)}.png"
        )
        paths.append(write_figure(drawn, folder / name, result.notes))
    output.print(*paths, sep="\n", markup=False, highlight=False, soft_wrap=True)
