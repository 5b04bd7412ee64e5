"""What the figures were measured with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from python_recon.operators.nufft import cuda_library
from tests.cuda_check.setting import Setting

_PACKAGES = ("gadgetron-pisco", "torch", "triton", "numpy", "finufft", "cufinufft", "cupy-cuda12x")


def versions(setting: Setting) -> dict[str, str]:
    """Packages, device and the NUFFT library that runs on it, each by its name."""
    found = {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}
    found["NUFFT library"] = cuda_library() if setting.is_cuda else "finufft"
    found["device"] = platform.processor() or platform.machine()
    if setting.is_cuda:
        properties = torch.cuda.get_device_properties(0)
        found["device"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        found["compute capability"] = f"{properties.major}.{properties.minor}"
        found["CUDA of Torch"] = str(torch.version.cuda)
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
