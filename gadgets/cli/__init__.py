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
    "convert": Place("converting", "convert", "Make an ISMRMRD file of raw data in another format."),
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
        "List the methods: what each is, what it needs, where it is published; of one, its options.",
    ),
    "doctor": Place(
        "installation", "doctor", "Examine the installation: what is there, what is missing and the cure."
    ),
    "config": Place("configuration", "app", "Show, check and describe configurations."),
    "openrecon": Place("openrecon", "app", "Make an OpenRecon package of an image of ours."),
}
"""In the order in which ``--help`` lists them."""


_ANYWHERE = ("-v", "--verbose", "-q", "--quiet", "--debug")


class _Commands(TyperGroup):
    """Turns the errors that the project foresees into one message and exit status 1."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands.update({name: DeferredCommand(name, place) for name, place in COMMANDS.items()})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """``-v``, ``-q`` and ``--debug`` may stand anywhere, also behind the command."""
        end = args.index("--") if "--" in args else len(args)
        ours = [word for word in args[:end] if word in _ANYWHERE]
        return super().parse_args(ctx, ours + [word for word in args[:end] if word not in ours] + args[end:])

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
    help="Reconstruct MRI, radial first, as Gadgetron does: simulate, replay, inspect and compare scans.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
) -> None:
    level = (
        logging.DEBUG if debug else logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    )
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
