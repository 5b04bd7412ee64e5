"""The ladder: when a method fails, a simpler one takes its place.

The rungs are the configured method, then subspace, cg_sense and gridding, on the device and then on the
CPU. A method that runs out of memory is tried once more with half of the virtual coils and of its batch. When
time is over, what is left is gridded. The images keep matrix, field of view and series; the rung that made
them is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from python_recon.acquisition.coil_compression import apply_compression, compression_matrix
from python_recon.arrays import like
from python_recon.config import CoilConfig, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError, ReconError
from python_recon.methods.registry import Method, Reconstruction, resolve
from python_recon.resources.memory import Size, coils_that_fit, is_out_of_memory
from python_recon.resources.scan_context import working_on
from python_recon.resources.schedule import AMPLE_S, Budget
from python_recon.resources.usage import give_memory_back

_DIRECT = "gridding"
"""Takes no time to speak of."""
_TRIED_FRAMES = 4
"""Gridded to foresee what a method will take."""
_FALLBACKS = ("subspace", "cg_sense", _DIRECT)
SURVIVABLE = (ReconError, ArithmeticError, MemoryError, RuntimeError, np.linalg.LinAlgError)
"""What work on the data may fail with, Torch's errors (RuntimeError) included. Anything else is a mistake in
the program."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of a slice, or of some of its frames."""

    reconstruction: Reconstruction
    method: str
    """The rung that made it."""
    comment: str
    """Empty when that is the configured method as it should be; else what failed and why."""
    seconds: float
    """Time of that rung."""
    n_coils: int
    """Virtual coils that it had."""

    @property
    def name(self) -> str:
        """Of the method whose images these are: another than the rung's where that changed nothing."""
        return self.reconstruction.made_by or self.method


def climb_down(
    kspace: KSpace, maps: CoilMaps, method: str, options: Mapping[str, Any], budget: Budget
) -> Outcome:
    """Images of all frames by the first rung that gives finite ones; see :func:`climb_down_in_parts`.

    Where frames are of several rungs, the last one is told.
    """
    parts = list(climb_down_in_parts(kspace, maps, method, options, budget))
    device = parts[0].reconstruction.images.device
    images = torch.cat([part.reconstruction.images.to(device) for part in parts])
    reconstruction = replace(parts[-1].reconstruction, images=images)
    return replace(parts[-1], reconstruction=reconstruction, seconds=sum(part.seconds for part in parts))


def climb_down_in_parts(
    kspace: KSpace, maps: CoilMaps, method: str, options: Mapping[str, Any], budget: Budget
) -> Iterator[Outcome]:
    """Images as they are made, each frame by the first rung that gives a finite one.

    What the budget offers to start from is for the configured method: other rungs begin anew.

    Yields
    ------
        The frames in order, in as many parts as the rungs make.

    Raises
    ------
    ConfigError
        If method or options are wrong: no rung is tried then.
    BackendError
        If every rung failed; tells what each of them said.
    """
    resolve(method, options)
    climb = _Climb(kspace, maps, budget)
    for rung in _rungs(method, kspace.data.device.type, options, budget.start):
        yield from climb.parts(rung)
        if climb.is_worth_half:
            give_memory_back()
            yield from climb.parts(replace(rung, is_halved=True))
        if climb.is_done:
            return
        give_memory_back()
    raise BackendError(f"no method gave images: {'; '.join(climb.failures)}")


@dataclass(frozen=True)
class _Rung:
    """What is tried."""

    name: str
    device: str
    options: Mapping[str, Any]
    start: Any
    is_halved: bool = False
    """With half of the virtual coils and of the batch."""

    def __str__(self) -> str:
        return f"{self.name} with half the coils" if self.is_halved else self.name

    def resolve(self) -> tuple[Method, Section]:
        method, options = resolve(self.name, self.options)
        batch = getattr(options, "batch", None)
        if self.is_halved and isinstance(batch, int):
            options = options.model_copy(update={"batch": max(batch // 2, 1)})
        return method, options


class _Climb:
    """How far a slice is."""

    def __init__(self, kspace: KSpace, maps: CoilMaps, budget: Budget) -> None:
        self._kspace, self._maps, self._budget = kspace, maps, budget
        self._n_done = 0
        self._griddings_s: dict[str, float] = {}
        self.failures: list[str] = []
        self.is_done = False
        self.is_worth_half = False
        """Whether the last rung failed for want of memory, and half of it would be less."""

    def parts(self, rung: _Rung) -> Iterator[Outcome]:
        """What a rung makes of the frames that are missing; a failure ends them, and is noted."""
        self.is_worth_half = False
        if rung.name != _DIRECT and (reason := self._why_not_begun(rung)):
            self.failures.append(f"{rung} {reason}")
            return
        try:
            yield from self._parts(rung)
            self.is_done = True
        except SURVIVABLE as error:
            lacks_memory, reason = is_out_of_memory(error), str(error)
            has_trace = not (lacks_memory or isinstance(error, ReconError))
            # The words, not the error: a log that keeps that would keep the memory of all that led to it.
            _log.warning("%s on %s failed: %s", rung, rung.device, reason, exc_info=has_trace)
            if lacks_memory:
                reason = reason.partition(". ")[0]  # Torch goes on for lines about its allocator
            self.failures.append(f"{rung} failed: {reason}")
            self.is_worth_half = lacks_memory and self._kspace.n_coils > 1

    def _why_not_begun(self, rung: _Rung) -> str:
        """Why the time that is left is not enough to begin with; empty where it is."""
        left_s = self._budget.left_s
        if left_s <= 0:
            return "failed: no time was left"
        if left_s > AMPLE_S:
            return ""
        try:
            least_s = rung.resolve()[0].griddings * self._gridding_s(rung.device)
        except SURVIVABLE as error:  # the rung will tell
            _log.debug("the time for %s is not foreseen: %s", rung, error)
            return ""
        if least_s <= self._budget.left_s:
            return ""
        return f"was not begun: {left_s:.1f} s were left, and it takes {least_s:.1f} s at least"

    def _gridding_s(self, device: str) -> float:
        """What it takes to grid all frames, on this machine as busy as it is; foreseen from a few of them."""
        if device not in self._griddings_s:
            method, options = resolve(_DIRECT, {})
            few = self._kspace.frames(slice(_TRIED_FRAMES)).to_torch(device)
            maps, seconds = self._maps.to_torch(device), []
            for _ in range(2):  # the second time everything is warm
                before = time.monotonic()
                with torch.no_grad():
                    method.run(few, maps, options, self._budget).images.cpu()
                seconds.append(time.monotonic() - before)
            self._griddings_s[device] = min(seconds) * self._kspace.n_frames / few.n_frames
        return self._griddings_s[device]

    def _parts(self, rung: _Rung) -> Iterator[Outcome]:
        started = time.monotonic()
        method, options = rung.resolve()
        kspace, maps, told = self._within_memory(rung, lambda size: method.memory(size, options))
        if self.failures:
            told = [*self.failures, f"made by {rung} on {rung.device}", *told]
        budget = replace(self._budget, start=rung.start)
        with torch.no_grad(), working_on(method=rung.name):
            result = method.run(kspace.to_torch(rung.device), maps.to_torch(rung.device), options, budget)
        comment = "; ".join([*told, *filter(None, [result.comment])])
        first = 0
        for block in _finite_blocks(result):
            missing, first = block[max(self._n_done - first, 0) :], first + len(block)
            if len(missing):
                self._n_done = first
                part = replace(result, images=missing, later=())
                yield Outcome(part, rung.name, comment, time.monotonic() - started, kspace.n_coils)
                started = time.monotonic()
        if first < kspace.n_frames:
            raise BackendError(f"it made {first} of {kspace.n_frames} frames")

    def _within_memory(
        self, rung: _Rung, need: Callable[[Size], float]
    ) -> tuple[KSpace, CoilMaps, list[str]]:
        """The slice with as many coils as the memory allows, and whether these are fewer."""
        size = Size.of(self._kspace)
        wanted = (size.n_coils + 1) // 2 if rung.is_halved else size.n_coils
        available = self._budget.memory.on(rung.device) - size.prepared
        count = coils_that_fit(need, replace(size, n_coils=wanted), available)
        if count == size.n_coils:
            return self._kspace, self._maps, []
        told = [f"{count} virtual coils instead of {wanted}, to fit into memory"] if count < wanted else []
        return *_with_coils(self._kspace, self._maps, count), told


def _with_coils(kspace: KSpace, maps: CoilMaps, count: int) -> tuple[KSpace, CoilMaps]:
    """The strongest virtual coils, and what they see of the same object."""
    matrix = compression_matrix(kspace, CoilConfig(virtual=count))
    virtual = torch.einsum("vc,cyx->vyx", like(matrix, maps.maps), maps.maps)
    return apply_compression(kspace, matrix), replace(maps, maps=virtual)


def _finite_blocks(result: Reconstruction) -> Iterator[torch.Tensor]:
    """The frames in blocks, each made when it is asked for; raises BackendError at NaN or Inf."""
    block, later = result.images, iter(result.later)
    while block is not None:
        if not bool(torch.isfinite(torch.view_as_real(block)).all()):
            raise BackendError("the images hold NaN or Inf")
        yield block
        with torch.no_grad():  # not around the yield: the caller would be within it
            block = next(later, None)


def _rungs(method: str, device: str, options: Mapping[str, Any], start: Any) -> Iterator[_Rung]:
    names = [name for name in _FALLBACKS if name != method]
    for place in dict.fromkeys((device, "cpu")):
        yield _Rung(method, place, options, start)
        yield from (_Rung(name, place, {}, None) for name in names)
