"""Where methods run."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch

from python_recon.config import Config
from python_recon.errors import BackendError
from python_recon.resources.memory import GB


def set_up(config: Config) -> str:
    """Apply the number of threads and Torch's share of the GPU; return its device, ``cpu`` or ``cuda``.

    Raises
    ------
    BackendError
        If CUDA is asked for and there is none.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise BackendError(
            f"device is cuda, but Torch {torch.__version__} finds no GPU; set device to auto, or run "
            "`gadgetron-pisco doctor`"
        )
    device = "cuda" if has_cuda and config.device != "cpu" else "cpu"
    if device == "cuda" and config.max_gpu_gb is not None:
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(config.max_gpu_gb * GB / total, 1.0))
    return device


def computer() -> dict[str, str | int]:
    """What the last bit of an image depends on: ``processor``, ``instructions`` and ``threads``."""
    return {
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


@functools.cache
def processor_name() -> str:
    """As the system calls it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
