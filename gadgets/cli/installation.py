"""``methods`` and ``doctor``: what there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gadgets.console import output
from python_recon.config import load_preset, preset_names

if TYPE_CHECKING:
    from gadgets.installation.doctor import Finding


def methods(
    name: Annotated[str | None, typer.Argument(help="A method, whose options are shown.")] = None,
) -> None:
    """List the methods: what each is, what it needs, where it is published; of one, its options."""
    if name is not None:
        _describe(name)
        return
    table = Table("method", "what it is", "needs", "reference", box=None, pad_edge=False)
    for name in preset_names():
        preset = load_preset(name)
        table.add_row(name, preset.description, preset.needs or "-", preset.reference or "-")
    output.print(table)


def _describe(name: str) -> None:
    """One method, with its options, their defaults and what they do."""
    from python_recon.methods.registry import resolve

    preset, (_, options) = load_preset(name), resolve(name, {})
    for line in (f"{preset.name}: {preset.description}", preset.reference, preset.needs):
        if line:
            output.print(line, markup=False, highlight=False, soft_wrap=True)
    table = Table("option", "default", "meaning", box=None, pad_edge=False)
    for key, field in type(options).model_fields.items():
        meaning = " ".join((field.description or "").split())
        table.add_row(f"options.{key}", Text(str(getattr(options, key))), Text(meaning))
    output.print(table)


def doctor(
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Simulate a small scan and reconstruct it, on the CPU.")
    ] = False,
    gadgetron: Annotated[
        bool,
        typer.Option("--gadgetron", help="Start the gadget as a Gadgetron server here would: by its PATH."),
    ] = False,
    daemon: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Ask the daemon with this health port whether it takes scans."),
    ] = None,
) -> None:
    """Examine the installation: what is there, what is missing and the cure."""
    ends_well = True
    for finding in _findings(reconstruct, gadgetron, daemon):
        mark, style = (
            ("ok", "green") if finding.is_ok else ("missing", "red" if finding.is_essential else "yellow")
        )
        line = f"{mark:8}{finding.subject}: {finding.found}"
        output.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        if not finding.is_ok:
            output.print(f"        {finding.cure}", markup=False, highlight=False, soft_wrap=True)
            ends_well = ends_well and not finding.is_essential
    if not ends_well:
        raise typer.Exit(1)


def _findings(reconstruct: bool, as_gadgetron: bool, daemon_port: int | None) -> Iterator[Finding]:
    from gadgets.installation import self_test
    from gadgets.installation.doctor import examine

    yield from examine()
    if reconstruct:
        yield self_test.reconstruction()
    if as_gadgetron:
        yield self_test.gadgetron()
    if daemon_port is not None:
        yield self_test.daemon(daemon_port)
