"""The ladder: when a method fails, a simpler one takes its place.

The rungs are the configured method, then subspace, cg_sense and gridding, on the device and then on the
CPU. The images keep matrix, field of view and series; the rung that made them is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError, ReconError
from python_recon.methods.registry import Reconstruction, resolve
from python_recon.schedule import Budget

_FALLBACKS = ("subspace", "cg_sense", "gridding")
SURVIVABLE = (ReconError, ArithmeticError, MemoryError, RuntimeError, np.linalg.LinAlgError)
"""What work on the data may fail with, Torch's errors (RuntimeError) included. Anything else is a mistake in
the program."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of a slice."""

    reconstruction: Reconstruction
    method: str
    """The rung that made it."""
    comment: str
    """Empty when that is the configured method; else what failed and why."""
    seconds: float
    """Time of that rung."""


def climb_down(
    kspace: KSpace, maps: CoilMaps, method: str, options: Mapping[str, Any], budget: Budget
) -> Outcome:
    """Images by the first rung that gives finite ones.

    What the budget offers to start from is for the configured method: other rungs begin anew.

    Raises
    ------
    ConfigError
        If method or options are wrong: no rung is tried then.
    BackendError
        If every rung failed; tells what each of them said.
    """
    resolve(method, options)
    failures: list[str] = []
    for name, device in _rungs(method, kspace.data.device.type):
        started = time.monotonic()
        try:
            is_configured = name == method
            chosen = options if is_configured else {}
            rung_budget = budget if is_configured else replace(budget, start=None)
            result = _run(name, chosen, kspace.to_torch(device), maps.to_torch(device), rung_budget)
        except SURVIVABLE as error:
            _log.warning("%s on %s failed (%s): trying the next rung", name, device, error, exc_info=True)
            failures.append(f"{name} failed: {error}")
            _free_memory()
            continue
        told = [*failures, f"made by {name} on {device}"] if failures else []
        comment = "; ".join([*told, *filter(None, [result.comment])])
        return Outcome(result, name, comment, time.monotonic() - started)
    raise BackendError(f"no method gave images: {'; '.join(failures)}")


def _run(
    name: str, options: Mapping[str, Any], kspace: KSpace, maps: CoilMaps, budget: Budget
) -> Reconstruction:
    method, validated = resolve(name, options)
    with torch.no_grad():
        result = method.run(kspace, maps, validated, budget)
    if not bool(torch.isfinite(torch.view_as_real(result.images)).all()):
        raise BackendError("the images hold NaN or Inf")
    return result


def _rungs(method: str, device: str) -> Iterator[tuple[str, str]]:
    names = [method, *(name for name in _FALLBACKS if name != method)]
    for place in dict.fromkeys((device, "cpu")):
        yield from ((name, place) for name in names)


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
