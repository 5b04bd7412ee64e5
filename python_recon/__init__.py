"""MR reconstruction, radial first: arrays in, images out.

::

    from python_recon import methods, reconstruct

    series = reconstruct(kspace, trajectory, matrix=128, method="grasp")
    series.images  # (frame, y, x) complex64

The names below are the stable part; they are imported when they are used, so that ``import python_recon``
loads no PyTorch. Losses for training loops of one's own are in :mod:`python_recon.losses`, errors in
:mod:`python_recon.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from python_recon.api import reconstruct
    from python_recon.config import Config
    from python_recon.data import CoilMaps, ImageSeries, KSpace

    def methods() -> dict[str, str]:
        """Name of every method, and what it does in one line."""


__all__ = ["CoilMaps", "Config", "ImageSeries", "KSpace", "methods", "reconstruct"]

_HOMES = {
    "CoilMaps": "python_recon.data",
    "Config": "python_recon.config",
    "ImageSeries": "python_recon.data",
    "KSpace": "python_recon.data",
    "reconstruct": "python_recon.api",
}


def __getattr__(name: str) -> object:
    if name == "methods":  # the package, which can be called
        return importlib.import_module("python_recon.methods")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
