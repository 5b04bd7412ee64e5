"""``simulate`` and ``info``: scans in files."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError
from rich.table import Table

from gadgets.console import output, progress
from gadgets.simulation.options import SimulateOptions
from python_recon.errors import ConfigError


def options_from(model: type[BaseModel]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose ``**options`` are the fields of a model, with their defaults and descriptions."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        named = [item for item in own if item.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[field.annotation, typer.Option(help=field.description)],
            )
            for name, field in model.model_fields.items()
        ]
        command.__signature__ = inspect.Signature([*named, *fields])  # type: ignore[attr-defined]
        return command

    return decorate


@options_from(SimulateOptions)
def simulate(
    path: Annotated[Path, typer.Argument(metavar="OUT.h5", help="The scan.")],
    truth: Annotated[Path | None, typer.Option(help="The truth [default: OUT_truth.h5]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    **options: Any,
) -> None:
    """Simulate a golden-angle scan of a beating, breathing heart: an ISMRMRD file, and its truth."""
    from gadgets.simulation.scan import simulate as write_scan

    try:
        chosen = SimulateOptions(**options)
    except ValidationError as error:
        faults = "; ".join(f"--{'-'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(faults.replace("_", "-")) from error
    with progress() as report:
        truth_path = write_scan(path, chosen, truth, overwrite=overwrite, report=report)
    output.print(f"{path}\n{truth_path}", markup=False, highlight=False, soft_wrap=True)


def info(
    path: Annotated[Path, typer.Argument(metavar="FILE.h5", help="ISMRMRD file with a scan.")],
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scan.")] = "dataset",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what a scan holds, and what is odd about it."""
    from gadgets.files.info import describe

    found = describe(path, group)
    if as_json:
        output.print_json(json.dumps({"facts": dict(found.facts), "surprises": list(found.surprises)}))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in found.facts.items():
        table.add_row(f"[bold]{name}[/]", text)
    output.print(table)
    for surprise in found.surprises:
        output.print(f"! {surprise}", style="yellow", markup=False, highlight=False, soft_wrap=True)
