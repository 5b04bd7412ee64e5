"""Several scans, each at several numbers of spokes a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from python_recon.config import Config
from python_recon.data import KSpace
from python_recon.evaluation.comparison import Comparison, compare
from python_recon.evaluation.scoring import Normalisation
from python_recon.evaluation.splitting import spoke_masks
from python_recon.resources.schedule import ProgressReport, part_of, silent

Loader: TypeAlias = Callable[[ProgressReport], tuple[KSpace, np.ndarray | None]]
"""Gives the k-space of one slice, as ``comparison.compare`` takes it, and its truth, if there is one."""


@dataclass(frozen=True)
class Source:
    """A scan to compare methods on, loaded when its turn comes."""

    scan: str
    """Its name for the reader. Scans of one name are repeats: their scores are averaged."""
    load: Loader
    repeat: int = 0
    """Which of the repeats, such as the seed of a simulation."""


@dataclass(frozen=True)
class Case:
    """One scan at one number of spokes a frame."""

    scan: str
    repeat: int
    comparison: Comparison
    """With images for the first repeat only: many repeats would fill the memory."""


def evaluate(
    sources: Sequence[Source],
    methods: Sequence[str],
    config: Config,
    *,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    spokes: Sequence[int | None] = (None,),
    normalisation: Normalisation = "least_squares",
    report: ProgressReport = silent,
) -> Iterator[Case]:
    """Run methods on every scan, at every number of spokes a frame.

    Parameters
    ----------
    sources
        The scans.
    methods, config, options, normalisation
        As of ``comparison.compare``.
    spokes
        Spokes to keep of every frame; None: all.
    report
        Is told which scan, number of spokes and method it is, and the share of everything that is done.

    Yields
    ------
        A case as soon as all methods have run on it.

    Raises
    ------
    ConfigError
        For an unknown method.
    DataError
        If a scan cannot be read, does not fit its truth or has too few spokes.
    """
    first = {source.scan: source.repeat for source in reversed(sources)}
    repeats = any(source.repeat for source in sources)
    for index, source in enumerate(sources):
        label = f"{source.scan}, repeat {source.repeat + 1}" if repeats else source.scan
        whole = part_of(report, index, len(sources), label if len(sources) > 1 else "")
        steps = 1 + len(spokes)
        kspace, truth = source.load(part_of(whole, 0, steps))
        for number in spokes:  # before any method has spent its time
            spoke_masks(kspace, number, holds_out=truth is None)
        for step, number in enumerate(spokes, start=1):
            comparison = compare(
                kspace,
                methods,
                config,
                options=options,
                truth=truth,
                retrospective_spokes=number,
                normalisation=normalisation,
                report=part_of(whole, step, steps, "" if number is None else f"{number} spokes"),
            )
            if source.repeat != first[source.scan]:
                comparison = replace(comparison, images={}, truth=None)
            yield Case(source.scan, source.repeat, comparison)
