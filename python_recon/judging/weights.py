"""Weights of regularisation that nobody has to choose: those whose images have the least risk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias, TypeVar

import torch
from pydantic import Field

from python_recon.acquisition.coil_compression import apply_compression, compression_matrix
from python_recon.arrays import like
from python_recon.config import CoilConfig, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.judging.gaps import Gaps, has_gaps
from python_recon.judging.risk import Risk
from python_recon.resources.schedule import Budget

Weight: TypeAlias = Annotated[float, Field(ge=0, le=1e3)] | Literal["auto"]
"""Of a method's options: a number, or what the risk chooses."""

_Options = TypeVar("_Options", bound=Section)
Prepare: TypeAlias = "Callable[[KSpace, CoilMaps], Callable[[_Options], torch.Tensor]]"
"""A method that gets ready for data, and then makes images (frame, y, x) of them as often as it is called."""

_TRIALS = 3
"""Values of a weight that are tried."""
_RATIO = 2.0
"""Between them."""
_COILS = 4
"""Virtual coils that are enough to tell weights apart."""
_AS_GOOD = 0.01
"""Relative difference of risks that is none: of two weights as good the smaller is taken."""


def number(weight: float | Literal["auto"]) -> float:
    """A weight that was chosen."""
    if weight == "auto":
        raise ValueError("the weight is still to be chosen: tuned() does so")
    return weight


def without_auto(options: _Options, first: Mapping[str, float]) -> _Options:
    """The options with the first values of all weights that are to be chosen."""
    return options.model_copy(update={name: first[name] for name in wanted(options, first)})


def wanted(options: Section, first: Mapping[str, float]) -> list[str]:
    """The weights that are to be chosen, in the order in which they are."""
    return [name for name in first if getattr(options, name) == "auto"]


def tuned(
    prepare: Prepare[_Options],
    kspace: KSpace,
    maps: CoilMaps,
    options: _Options,
    first: Mapping[str, float],
    budget: Budget,
) -> _Options:
    """The options with a number for every weight that is ``auto``.

    All of them are raised and lowered together, by factors of 2, in runs of the method itself on few virtual
    coils, each run once more on data with a little more noise and, where the spokes leave gaps, on parts of
    them (:mod:`python_recon.judging.gaps`). What is chosen depends on the data only, not on the time that it
    took, unless the time is over.

    Parameters
    ----------
    prepare
        The method.
    kspace, maps
        As the method gets them.
    options
        Some of whose weights are "auto".
    first
        By name, values that suit most scans.
    budget
        Of the method; the search takes half of it at most.
    """
    names, begun = wanted(options, first), without_auto(options, first)
    if not names or kspace.noise is None or not kspace.noise.std or budget.is_spent:
        return begun
    few, few_maps = _with_few_coils(kspace, maps)
    risk = Risk(few, few_maps)
    runs = [prepare(data, few_maps) for data in (few, risk.disturbed)]
    gaps = Gaps(few, few_maps) if has_gaps(few) else None
    runs_without = [prepare(data, few_maps) for data in gaps.without] if gaps else []
    reserve_s = budget.left_s / 2

    def scaled(factor: float) -> _Options:
        return begun.model_copy(update={name: factor * first[name] for name in names})

    def risk_of(factor: float) -> float:
        budget.report("choosing the regularisation", 0.0)
        tried = scaled(factor)
        at_samples = risk.of(*(images_of(tried) for images_of in runs)).of_noise
        return (
            gaps.widened(at_samples, [images_of(tried) for images_of in runs_without]) if gaps else at_samples
        )

    return scaled(least_risk(risk_of, lambda: budget.left_s < reserve_s))


def least_risk(risk_of: Callable[[float], float], is_over: Callable[[], bool] = lambda: False) -> float:
    """The least factor of all weights whose risk is as good as the best.

    Factors of 2 are tried, up or down from 1; a parabola over the logarithm tells what lies between.

    Parameters
    ----------
    risk_of
        Tries a factor.
    is_over
        Asked before every trial but the first: ends the search, with the best factor so far.
    """
    tried = {0: risk_of(1.0)}
    while len(tried) < _TRIALS and not is_over():
        best = min(tried, key=tried.__getitem__)
        at = next(at for at in (best + 1, best - 1) if at not in tried)
        tried[at] = risk_of(_RATIO**at)
    best = min(tried, key=tried.__getitem__)
    return math.pow(_RATIO, best + _as_good(*(tried.get(best + step) for step in (-1, 0, 1))))


def _as_good(before: float | None, here: float | None, after: float | None) -> float:
    """Where, left of its least, a parabola through values at -1, 0, 1 is as good as there; 0 without one."""
    if before is None or here is None or after is None:
        return 0.0
    curvature = before - 2 * here + after
    if curvature <= 0:
        return 0.0
    vertex = 0.5 * (before - after) / curvature
    least = here - 0.5 * curvature * vertex**2
    return max(vertex - math.sqrt(2 * _AS_GOOD * max(least, 0.0) / curvature), -1.0)


def _with_few_coils(kspace: KSpace, maps: CoilMaps) -> tuple[KSpace, CoilMaps]:
    """The strongest virtual coils; white noise stays white."""
    if kspace.n_coils <= _COILS:
        return kspace, maps
    matrix = compression_matrix(kspace, CoilConfig(virtual=_COILS))
    mixed = torch.einsum("vc,cyx->vyx", like(matrix, maps.maps), maps.maps)
    return apply_compression(kspace, matrix), replace(maps, maps=mixed)
