"""What is installed, what is missing and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from gadgets.replay.config_xml import config_folders, installed_configs

_SPACE_NEEDED_GB = 2.0
_REINSTALL = "reinstall: pip install --force-reinstall gadgetron-pisco"


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    subject: str
    found: str
    is_ok: bool = True
    is_essential: bool = True
    cure: str = ""


def examine() -> Iterator[Finding]:
    """All findings, one by one as they are made."""
    yield _python()
    yield from _packages()
    yield from _torch()
    yield _configs()
    yield _presets()
    yield _temporary_space()


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    return Finding("Python", found, sys.version_info >= (3, 10), cure="install Python 3.10 or newer")


def _packages() -> Iterator[Finding]:
    for name in _required():
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "missing", False, cure=f"pip install {name}")


def _required() -> list[str]:
    """Names of the packages that the project needs always."""
    lines = [line for line in requires("gadgetron-pisco") or [] if "extra ==" not in line]
    return ["".join(_name_characters(line)) for line in lines]


def _name_characters(requirement: str) -> Iterator[str]:
    for character in requirement:
        if not (character.isalnum() or character in "-_."):
            return
        yield character


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("torch import", str(error), False, cure="pip install torch")
        return
    from python_recon.resources.device import computer

    machine = computer()
    yield Finding("processor", f"{machine['processor']}, instructions {machine['instructions']}")
    yield Finding("torch threads", f"{machine['threads']} of {os.cpu_count()} cores")
    if not torch.cuda.is_available():
        yield Finding(
            "GPU",
            "none that torch can use",
            False,
            False,
            "none needed: all methods run on the CPU, slower",
        )
        yield Finding("NUFFT", "finufft, on the CPU")
        return
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    yield Finding("GPU", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}")
    yield _cuda_nufft()
    yield _cupy(torch.version.cuda or "")


def _cuda_nufft() -> Finding:
    """Which library transforms on the GPU, and why not the faster one."""
    from python_recon.errors import BackendError
    from python_recon.operators.plans import load_cufinufft

    try:
        return Finding("NUFFT", f"cufinufft {load_cufinufft().__version__}", is_essential=False)
    except BackendError as error:
        cure = "pip install gadgetron-pisco[cuda]"
        return Finding("NUFFT", f"the built-in gridder: {error}", False, False, cure)


def _cupy(cuda: str) -> Finding:
    """CuPy, which only CuPy arrays need, and the CUDA that it and Torch are built for."""
    try:
        cupy = importlib.import_module("cupy")
        built_for = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception as error:
        cure = "pip install gadgetron-pisco[cuda]; only callers with CuPy arrays need it"
        return Finding("cupy", f"{type(error).__name__}: {error}", False, False, cure)
    found = f"{cupy.__version__} for CUDA {built_for}"
    if cuda.split(".")[0] != str(built_for):
        found += f", beside a Torch for CUDA {cuda}: Torch tensors are not handed to it"
    return Finding("cupy", found, is_essential=False)


def _configs() -> Finding:
    names = installed_configs()
    places = ", ".join(str(folder) for folder in config_folders()) or "no folder"
    found = f"{len(names)} in {places}"
    return Finding("Gadgetron configurations", found, bool(names), cure=_REINSTALL)


def _presets() -> Finding:
    from python_recon.config import preset_names

    names = preset_names()
    return Finding("methods", ", ".join(names) or "none", bool(names), cure=_REINSTALL)


def _temporary_space() -> Finding:
    folder = tempfile.gettempdir()
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(
        "temporary space",
        f"{free_gb:.1f} GB free in {folder}",
        free_gb >= _SPACE_NEEDED_GB,
        cure="free some space, or set TMPDIR to a larger disk",
    )
