"""``compare``: methods side by side on one scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import h5py
import numpy as np
import typer
from rich.table import Table

from gadgets.cli.console import errors, output, parse_settings
from gadgets.properties import parse_value
from python_recon.config import load_config, load_preset
from python_recon.errors import ConfigError, DataError

if TYPE_CHECKING:
    from python_recon.comparison import Comparison


def compare(
    scan: Annotated[Path, typer.Option("--file", "-f", help="ISMRMRD file with the scan.")],
    methods: Annotated[str, typer.Option(help="Names, with commas between them; see `methods`.")],
    truth: Annotated[Path | None, typer.Option(help="Truth, as `simulate` writes it.")] = None,
    retrospective_spokes: Annotated[
        int | None, typer.Option(min=1, help="Keep so many spokes of every frame.")
    ] = None,
    slice_number: Annotated[int, typer.Option("--slice", min=0, help="Slice to compare on.")] = 0,
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scan.")] = "dataset",
    out: Annotated[Path | None, typer.Option(help="Folder for comparison.json and comparison.png.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for all methods; repeatable.")
    ] = None,
) -> None:
    """Compare methods on one slice: errors, time and memory.

    With a truth the errors are those of the images. Without one, spokes are held out from all methods, and
    the errors are those of the spokes that the images predict.
    """
    names = [load_preset(name.strip()).name for name in methods.split(",") if name.strip()]
    if not names:
        raise ConfigError("give the methods to compare, for example --methods gridding,cg_sense")
    from gadgets.slices import read_slice
    from python_recon.comparison import compare as compare_methods

    config = load_config({key: parse_value(text) for key, text in parse_settings(settings or []).items()})
    kspace = read_slice(scan, group, slice_number, config)
    images = None if truth is None else _read_truth(truth, slice_number)
    with errors.status("comparing"):
        result = compare_methods(
            kspace, names, config, truth=images, retrospective_spokes=retrospective_spokes
        )
    _print(result)
    if out is not None:
        _write(result, out)
    if not result.images:
        raise typer.Exit(1)


def _read_truth(path: Path, number: int) -> np.ndarray:
    """(frame, y, x) images of a slice."""
    try:
        with h5py.File(path, "r") as file:
            images = file["images"]
            if number >= len(images):
                raise DataError(f"the truth {path} has {len(images)} slices, there is no slice {number}")
            return np.asarray(images[number])
    except (OSError, KeyError) as error:
        raise DataError(f"{path} is no truth as `simulate` writes it: {error}") from error


def _print(result: Comparison) -> None:
    header, rows = result.as_table()
    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    output.print(table)
    for note in result.notes:
        output.print(note, markup=False, highlight=False, soft_wrap=True)


def _write(result: Comparison, folder: Path) -> None:
    from python_recon.outputs.figure import write_figure

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(result.as_json(), indent=2))
    paths = [folder / "comparison.json"]
    if result.images:
        paths.append(write_figure(result, folder / "comparison.png"))
    output.print(*paths, sep="\n", markup=False, highlight=False, soft_wrap=True)
