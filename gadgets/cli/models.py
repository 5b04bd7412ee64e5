"""``models list|show|evaluate``: trained networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gadgets.console import output, parse_settings, progress
from gadgets.replay.properties import parse_value
from python_recon.config import load_config
from python_recon.errors import DataError, ReconError
from python_recon.fitting.trained_model import Card, read_card

app = typer.Typer(add_completion=False, help="Show and evaluate trained networks.", no_args_is_help=True)


@app.command("list")
def list_models(
    folder: Annotated[Path, typer.Argument(help="Folder with models.")] = Path(),
) -> None:
    """List the models of a folder: what runs each, how good it is, and what it learned from."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    table = Table(box=None, pad_edge=False)
    for title in ("model", "method", "validation error", "scans", "learned from"):
        table.add_column(title, overflow="fold")
    for path in sorted(folder.glob("*.safetensors")):
        try:
            card = read_card(path)
        except ReconError:
            continue  # safetensors files of other kinds lie in the same folders
        table.add_row(path.name, card.method, f"{card.best:.4f}", str(len(card.scans)), _ranges(card))
    if not table.row_count:
        raise DataError(f"{folder} holds no model; train one with `gadgetron-pisco train`")
    output.print(table)


@app.command()
def show(path: Annotated[Path, typer.Argument(metavar="MODEL", help="File of the model.")]) -> None:
    """Show what a model is and what it learned from, and check that it can be loaded."""
    from python_recon.fitting.trained_model import load_model

    network, card = load_model(path)
    facts = {
        "method": card.method,
        "trained by": f"gadgetron-pisco {card.version}",
        "architecture": str(card.architecture),
        "weights": f"{sum(weight.numel() for weight in network.parameters()):,}",
        "learned from": f"{len(card.scans)} scans: {_ranges(card)}",
        "scans": ", ".join(card.scans),
        "judged by": ", ".join(card.validation_scans),
        "loss": card.loss,
        "validation": " ".join(f"{error:.4f}" for error in card.validation),
        "features": card.features or "none",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts.items():
        table.add_row(f"[bold]{name}[/]", text)
    output.print(table)


@app.command()
def evaluate(
    path: Annotated[Path, typer.Argument(metavar="MODEL", help="File of the model.")],
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Where ISMRMRD scans lie.")],
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the prepared scans [default: MODEL.cache]")
    ] = None,
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scans.")] = "dataset",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the preparation; repeatable.")
    ] = None,
) -> None:
    """Tell the error of a model on scans, without any reference images: 1 is that of the subspace images."""
    from gadgets.files.training_scans import training_scans
    from python_recon.training.evaluate import evaluate as run

    properties = {key: parse_value(text) for key, text in parse_settings(settings or []).items()}
    config = load_config({"method": "subspace"}, properties)
    sources = training_scans(folders, group, config)
    table = Table(box=None, pad_edge=False)
    table.add_column("scan", overflow="fold")
    table.add_column("error", justify="right")
    table.add_column("remark", overflow="fold")
    with progress() as report:
        for line in run(path, sources, cache or path.with_name(path.name + ".cache"), config, report):
            table.add_row(line.scan, f"{line.error:.4f}", line.remark)
    output.print(table)


def _ranges(card: Card) -> str:
    least, largest = card.ranges.least, card.ranges.largest
    spans = [
        f"{getattr(least, name)}-{getattr(largest, name)} {name}"
        for name in ("frames", "spokes", "matrix", "coils")
    ]
    return f"{least.encoding}, {', '.join(spans)}"
