"""The command line: ``gadgetron-pisco``."""

from __future__ import annotations

import logging
import signal
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gadgets.cli import (
    comparing,
    configuration,
    converting,
    files,
    installation,
    openrecon,
    rendering,
    replaying,
    serving,
)
from gadgets.console import ConsoleHandler, errors, output
from gadgets.version import plugin_version
from python_recon.errors import ReconError


class _Commands(TyperGroup):
    """Turns the errors that the project foresees into one message and exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ReconError as error:
            if ctx.params.get("debug"):
                raise
            errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Commands,
    name="gadgetron-pisco",
    help="Reconstruct radial MRI as Gadgetron does: simulate, replay, inspect and compare scans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    files.simulate,
    replaying.replay,
    rendering.render,
    files.info,
    converting.convert,
    comparing.compare,
    serving.serve,
    installation.methods,
    installation.doctor,
):
    app.command()(_command)
app.add_typer(configuration.app, name="config")
app.add_typer(openrecon.app, name="openrecon")


def _show_version(wanted: bool) -> None:
    if wanted:
        output.print(f"gadgetron-pisco {plugin_version()}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
) -> None:
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    style = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=style, handlers=[ConsoleHandler()], force=True)
    for chatty in ("matplotlib", "PIL", "h5py"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; a termination ends it in order, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _end)
    app()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leaves no temporary file behind, and no process."""
    raise SystemExit(128 + number)
