"""Commands whose modules are imported when they run, so that ``--help`` and completion answer at once."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command


class Place(NamedTuple):
    """Where a command is written."""

    module: str
    """Of ``gadgets.cli``."""
    name: str
    """Of a function or, for a group of commands, of a :class:`typer.Typer`."""
    summary: str
    """The first line of its docstring, which a list of the commands shows."""

    def load(self) -> Any:
        """The command itself."""
        found = getattr(import_module(f"gadgets.cli.{self.module}"), self.name)
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False)
        alone.command()(found)
        return get_command(alone)


class DeferredCommand(TyperCommand):
    """Stands in a list of commands for one that is not imported yet."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name, help=place.summary)
        self._place = place

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which then takes over."""
        return self._place.load().make_context(info_name, args, parent=parent, **extra)
