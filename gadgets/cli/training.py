"""``train``: a network from a site's own scans."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gadgets.cli.files import options_from
from gadgets.console import errors, output, parse_settings, progress
from gadgets.replay.properties import parse_value
from gadgets.version import plugin_version
from python_recon.config import Config, load_config
from python_recon.errors import BackendError, ConfigError
from python_recon.training.trainer import TrainOptions

_PATENT = (
    "The authors of SSDU state that the method is covered by US patent application 17/075,411, with rights "
    "for non-profit and government research: check your own case."
)


@options_from(TrainOptions)
def train(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Where ISMRMRD scans lie.")],
    model: Annotated[Path, typer.Option("--output", "-o", help="File of the model, .safetensors.")],
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the prepared scans [default: MODEL.cache]")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Model to begin with.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training of this file.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    gpus: Annotated[
        int, typer.Option(min=0, max=1024, help="Processes, one for each GPU; 0: one, where it may.")
    ] = 0,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scans.")] = "dataset",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the preparation; repeatable.")
    ] = None,
    **options: Any,
) -> None:
    """Train a network on a site's own undersampled scans; no reference images are needed.

    Ctrl-C ends it and keeps the best network so far.
    """
    from gadgets.files.training_scans import training_scans
    from python_recon.fitting.tracking import tensorboard as tracked
    from python_recon.fitting.tracking import untracked
    from python_recon.resources.new_files import require_free
    from python_recon.training.train import Files
    from python_recon.training.train import train as run

    if not os.environ.get("WORLD_SIZE"):
        require_free(model, overwrite=overwrite or resume)
    if gpus > 1 and "WORLD_SIZE" not in os.environ:
        _run_many(gpus)
        return
    chosen, config = _options(options), _config(settings)
    files = Files(model, cache or model.with_name(model.name + ".cache"), start, resume)
    sources = training_scans(folders, group, config)
    errors.print(_PATENT, highlight=False)
    track = tracked(str(tensorboard)) if tensorboard is not None else untracked
    with progress() as report:
        card = run(sources, files, config, chosen, plugin_version(), report, track)
    output.print(
        f"{model}: {len(card.scans)} scans, best validation error {card.best:.4f} of "
        f"{len(card.validation)} epochs (1: that of subspace)",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _options(given: dict[str, Any]) -> TrainOptions:
    try:
        return TrainOptions(**given)
    except ValidationError as error:
        faults = "; ".join(f"--{'-'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(faults.replace("_", "-")) from error


def _config(settings: list[str] | None) -> Config:
    properties = {key: parse_value(text) for key, text in parse_settings(settings or []).items()}
    return load_config({"method": "subspace"}, properties)


def _run_many(count: int) -> None:
    """The same command in many processes, as torchrun would start them; raises where one fails."""
    import subprocess

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(  # noqa: S603  this very command
            [sys.executable, "-m", "gadgets.cli", *sys.argv[1:]],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]
    try:
        failed = [rank for rank, process in enumerate(processes) if process.wait()]
    except BaseException:
        for process in processes:
            process.wait()  # Ctrl-C reaches them, too: each keeps what it has
        raise
    if failed:
        raise BackendError(f"of {count} processes, number {failed[0]} failed; its message stands above")
