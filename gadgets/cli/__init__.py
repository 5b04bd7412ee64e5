"""The command line ``gadgetron-pisco``: a module for each group of commands, with their options."""

from __future__ import annotations

import logging
import signal
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gadgets.cli.deferred import DeferredCommand, Place
from gadgets.console import ConsoleHandler, errors, output
from gadgets.version import plugin_version
from python_recon.errors import ReconError

COMMANDS = {
    "simulate": Place(
        "files",
        "simulate",
        "Simulate a golden-angle scan of a beating, breathing heart: an ISMRMRD file, and its truth.",
    ),
    "replay": Place(
        "replaying",
        "replay",
        "Send a scan through the gadgets of a configuration, as Gadgetron would, and keep the images.",
    ),
    "render": Place(
        "rendering",
        "render",
        "Render a saved field at any frame rate and matrix, without fitting again.",
    ),
    "info": Place("files", "info", "Show what a scan holds, and what is odd about it."),
    "convert": Place("converting", "convert", "Make an ISMRMRD file of radial raw data in another format."),
    "compare": Place(
        "comparing", "compare", "Compare methods: errors, time and memory, on one slice of every scan."
    ),
    "train": Place(
        "training",
        "train",
        "Train a network on a site's own undersampled scans; no reference images are needed.",
    ),
    "models": Place("models", "app", "Show and evaluate trained networks."),
    "serve": Place(
        "serving",
        "serve",
        "Stay warm and serve scans: Gadgetron's <connect> nodes and direct MRD clients.",
    ),
    "methods": Place(
        "installation",
        "methods",
        "List the methods: what each is, what it needs, where it is published.",
    ),
    "doctor": Place(
        "installation", "doctor", "Examine the installation: what is there, what is missing and the cure."
    ),
    "config": Place("configuration", "app", "Show, check and describe configurations."),
    "openrecon": Place("openrecon", "app", "Make an OpenRecon package of an image of ours."),
}
"""In the order in which ``--help`` lists them."""


class _Commands(TyperGroup):
    """Turns the errors that the project foresees into one message and exit status 1."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands.update({name: DeferredCommand(name, place) for name, place in COMMANDS.items()})

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
