"""``openrecon label|dockerfile|package``: this program as an OpenRecon container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gadgets.console import output
from python_recon.errors import ConfigError

app = typer.Typer(
    add_completion=False, help="Make an OpenRecon package of an image of ours.", no_args_is_help=True
)

_NEWEST_CUDA = (11, 8)
"""That OpenRecon accepts."""

_Vendor = Annotated[str, typer.Option(help="Who makes the package; part of its name.")]
_Gpu = Annotated[bool, typer.Option("--gpu", help="It may use a GPU; PyTorch has to be built for CUDA 11.8.")]


@app.command()
def label(vendor: _Vendor = "research", gpu: _Gpu = False) -> None:
    """Show the label that tells the scanner what the image offers, as JSON."""
    from gadgets.openrecon.label import label as make

    _check(vendor, gpu)
    output.print_json(json.dumps(make(vendor=vendor, can_use_gpu=gpu)))


@app.command()
def dockerfile(
    base: Annotated[str, typer.Argument(help="The image that gets the label.")],
    vendor: _Vendor = "research",
    gpu: _Gpu = False,
) -> None:
    """Write a Dockerfile that gives an image of ours the label. Best run in that image."""
    from gadgets.openrecon import label as labels

    _check(vendor, gpu)
    text = labels.dockerfile(base, labels.label(vendor=vendor, can_use_gpu=gpu))
    output.print(text, markup=False, highlight=False, soft_wrap=True, end="")


@app.command()
def package(
    image: Annotated[Path, typer.Argument(help="The labelled image, saved as a tar.")],
    folder: Annotated[Path, typer.Argument(help="Where the package goes.")],
) -> None:
    """Pack a saved image and a document into the zip that the scanner installs."""
    from gadgets.openrecon.package import pack

    output.print(pack(image, folder), markup=False, highlight=False, soft_wrap=True)


def _check(vendor: str, gpu: bool) -> None:
    if not vendor.isalnum():
        raise ConfigError(f"the vendor {vendor!r} is part of a file name: expected letters and digits only")
    if gpu:
        _check_cuda()


def _check_cuda() -> None:
    import torch

    found = torch.version.cuda
    if found is None or tuple(map(int, found.split(".")))[:2] > _NEWEST_CUDA:
        raise ConfigError(
            f"this PyTorch is built for {f'CUDA {found}' if found else 'the CPU'}, but OpenRecon accepts GPU "
            "images up to CUDA 11.8 only: install a PyTorch for CUDA 11.8, or leave out --gpu"
        )
