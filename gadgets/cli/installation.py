"""``methods`` and ``doctor``: what there is."""

from __future__ import annotations

import typer
from rich.table import Table

from gadgets.cli.console import output
from python_recon.config import load_preset, preset_names


def methods() -> None:
    """List the methods: what each is, what it needs, where it is published."""
    table = Table("method", "what it is", "needs", "reference", box=None, pad_edge=False)
    for name in preset_names():
        preset = load_preset(name)
        table.add_row(name, preset.description, preset.needs or "-", preset.reference or "-")
    output.print(table)


def doctor() -> None:
    """Examine the installation: what is there, what is missing and the cure."""
    from gadgets.doctor import examine

    ends_well = True
    for finding in examine():
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
