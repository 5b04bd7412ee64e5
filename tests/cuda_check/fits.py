"""Methods on the device: as on the CPU, captured as not, saved here and read there, and in little memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from python_recon.config import preset_names
from python_recon.fitting.checkpoint import load
from python_recon.methods.registry import Reconstruction
from python_recon.resources.usage import give_memory_back
from tests.cuda_check.agreement import require
from tests.cuda_check.running import Check
from tests.cuda_check.setting import Setting, fits
from tests.numerics import relative_error, run_method

PART = "methods"
_LIMIT_S = 30.0
_STEPS = {"cuda": 120, "cpu": 2}
"""On CUDA enough for a capture."""
_LITTLE = {"cuda": (700e6, 1 << 20), "cpu": (150e6, 1 << 16)}
"""Bytes, and a batch that does not fit into them."""


def checks(setting: Setting) -> Iterator[Check]:
    for name in preset_names():
        yield Check(PART, name, partial(as_on_the_cpu, setting, name), _LIMIT_S)
    for name in fits():
        yield Check(PART, f"{name}, captured and step by step", partial(captured, setting, name), _LIMIT_S)
    yield Check(PART, "a field of k-space saved and read", partial(saved, setting, "nik"), _LIMIT_S)
    yield Check(PART, "a field of images saved and read", partial(saved, setting, "subspace_inr"), _LIMIT_S)
    yield Check(PART, "little memory", partial(little_memory, setting), _LIMIT_S)


def small_run(setting: Setting, name: str, device: str, **options: Any) -> Reconstruction:
    scan = setting.small
    chosen = setting.needed(name) | setting.options(name, _STEPS[setting.device]) | options
    return run_method(name, scan.kspace, scan.maps, device, **chosen)


def as_on_the_cpu(setting: Setting, name: str) -> dict[str, Any]:
    """The same images, but for rounding; fits draw other samples on a GPU, and reach the same quality."""
    here, there = (small_run(setting, name, device).images for device in (setting.device, "cpu"))
    if not torch.isfinite(torch.view_as_real(here)).all():
        raise AssertionError("the images are not finite")
    figures = {"error": relative_error(here, there), "dB": setting.small.psnr(here)}
    if not setting.options(name, 1):
        return require(figures, error=5e-3)
    figures["dB lost"] = setting.small.psnr(there) - figures["dB"]
    if figures["error"] > 0.05:
        require(figures, **{"dB lost": 1.0})
    return figures


def captured(setting: Setting, name: str) -> dict[str, Any]:
    """Losses of a fit whose steps are graphs against those of one whose steps are not."""
    done = [small_run(setting, name, setting.device, compiled=each) for each in ("auto", "off")]
    losses = [np.asarray(each.details["losses"], float) for each in done]
    length = min(map(len, losses))  # either may converge earlier
    figures = {
        "losses": float(np.abs(losses[0][:length] / losses[1][:length] - 1).max()),
        "error": relative_error(*(each.images for each in done)),
    }
    return require(figures, losses=0.05)


def saved(setting: Setting, name: str) -> dict[str, Any]:
    """A field that was fitted and saved on the device renders the same on it and on the CPU."""
    path = Path(setting.folder) / f"{name}.safetensors"
    images = small_run(setting, name, setting.device, checkpoint=str(path)).images
    figures = {}
    for device in (setting.device, "cpu"):
        read = load(path, device)
        rendered = torch.cat(list(read.fitted.render(np.array(read.origin.frame_times))))
        figures[f"on {device}"] = relative_error(rendered, images)
    return require(figures, **dict.fromkeys(figures, 5e-3))


def little_memory(setting: Setting) -> dict[str, Any]:
    """A fit that does not fit becomes smaller and gives images; after it there is memory again."""
    n_bytes, batch = _LITTLE[setting.device]
    options = {"steps": 3, "batch": batch, "n_features": 64, "width": 256, "layers": 3}
    with _limited(setting, n_bytes):
        result = run_method("nik", setting.small.kspace, setting.small.maps, setting.device, **options)
    if "to fit into memory" not in result.comment:
        raise AssertionError(f"the fit was not made smaller: {result.comment!r}")
    if not torch.isfinite(torch.view_as_real(result.images)).all():
        raise AssertionError("the images are not finite")
    give_memory_back()
    small_run(setting, "nik", setting.device)
    return {"told": result.comment}


@contextmanager
def _limited(setting: Setting, n_bytes: float) -> Iterator[None]:
    """Little memory on the device: of the GPU, or of this process."""
    give_memory_back()
    if setting.is_cuda:
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(n_bytes / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = int(psutil.Process().memory_info().vms + n_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
