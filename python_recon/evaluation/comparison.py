"""Methods side by side on one slice: errors, time and memory.

With a truth, the images of every method are scored against it. Without one, some spokes are held out, every
method reconstructs from the others, and the error is that of the held-out spokes as the method's images
predict them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from python_recon.acquisition.field_of_view import narrow
from python_recon.acquisition.spokes import spoke_numbers
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import CoilMaps, ImageSeries, KSpace
from python_recon.errors import DataError, ReconError, ShapeError
from python_recon.evaluation.liveliest import liveliest_point, quietest
from python_recon.evaluation.metrics import match_scale
from python_recon.evaluation.scoring import Normalisation, truth_scores
from python_recon.evaluation.splitting import split
from python_recon.judging.held_out import prediction_error
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget, ProgressReport, part_of, silent
from python_recon.resources.usage import Usage, measure
from python_recon.stream import chain

_TOLD = ("expected_error",)
"""Details of a series that stand beside its scores."""

Score: TypeAlias = Callable[[np.ndarray], Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """One method."""

    method: str
    usage: Usage | None
    """None where the method failed."""
    scores: Mapping[str, float]
    """Those of ``evaluation.scoring.truth_scores`` against the truth, or held_out_error."""
    comment: str = ""
    """The rung of the ladder that it fell to, or why there are no images."""


@dataclass(frozen=True)
class Sampling:
    """How many spokes a frame had: a number, or a range such as ``13 to 14``."""

    n_frames: int
    measured: str
    kept: str
    """What the methods saw."""
    held_out: str | None
    """What was kept from them to judge them by; None with a truth."""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on one slice."""

    rows: tuple[Row, ...]
    images: Mapping[str, np.ndarray]
    """(frame, y, x) magnitude by method, on one scale."""
    truth: np.ndarray | None
    """(frame, y, x) magnitude."""
    point: tuple[int, int]
    """Pixel (y, x) where the truth, else the method with the least noise, moves most."""
    sampling: Sampling
    normalisation: Normalisation = "least_squares"
    """Of the scores against the truth."""


def compare(
    kspace: KSpace,
    methods: Sequence[str],
    config: Config,
    *,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    truth: np.ndarray | None = None,
    retrospective_spokes: int | None = None,
    normalisation: Normalisation = "least_squares",
    report: ProgressReport = silent,
) -> Comparison:
    """Run methods on the same k-space of one slice.

    Parameters
    ----------
    kspace
        Stacked frames, whitened and located, neither compressed nor weighted.
    methods
        Names of presets. A method that fails gets a row that says why; the others go on.
    config
        Holds for all methods; its ``options`` belong to its own ``method``.
    options
        Of other methods, by their names.
    truth
        (frame, y, x), in the frames and the matrix of ``kspace``. No method sees it.
    retrospective_spokes
        Keep so many spokes of every frame, consecutive and in its middle; without a truth those that are
        left out are the held-out spokes. None: keep all, but for one in eight where there is no truth.
    normalisation
        Of the scores against the truth; the images returned are on its scale by one factor in any case.
    report
        Is told which method runs and how far it is.

    Raises
    ------
    ConfigError
        For an unknown method, or an option that it has not.
    DataError
        If the truth does not fit the k-space, or the frames have fewer spokes than asked for.
    """
    for method in methods:
        resolve(method, options.get(method, {}))  # imports it as well, which should not count as its time
    _check_truth(truth, kspace)
    kept, held_out, config = split(kspace, retrospective_spokes, config, holds_out=truth is None)
    _start_libraries(config)
    runs = [
        _run(method, kept, _own(config, method, options), part_of(report, number, len(methods), method))
        for number, method in enumerate(methods)
    ]
    good = {run.method: narrow(run.series.images, _shown(kspace)) for run in runs if run.series is not None}
    reference = _reference(truth, list(good.values()))
    if held_out is None:
        score: Score = partial(_truth_scores, truth=reference, normalisation=normalisation)
    else:
        score = partial(_held_out_scores, maps=estimate(kept, config.coils), held_out=held_out)
    return Comparison(
        rows=tuple(run.row(score) for run in runs),
        images={method: match_scale(images, reference) for method, images in good.items()},
        truth=None if truth is None else np.abs(truth),
        point=liveliest_point(reference),
        sampling=_sampling(kspace, kept, held_out),
        normalisation=normalisation,
    )


def _own(config: Config, method: str, options: Mapping[str, Mapping[str, Any]]) -> Config:
    """The configuration with a method's own options, where it has some."""
    if method not in options:
        return config
    return config.model_copy(update={"method": method, "options": dict(options[method])})


def _reference(truth: np.ndarray | None, images: Sequence[np.ndarray]) -> np.ndarray:
    """What scale and place are taken from: the truth, else the series with the least noise."""
    if truth is not None:
        return truth
    return images[quietest(images)] if images else np.zeros((1, 1, 1))


@dataclass(frozen=True)
class _Run:
    """What became of one method."""

    method: str
    series: ImageSeries | None = None
    usage: Usage | None = None
    failure: str = ""

    def row(self, score: Score) -> Row:
        if self.series is None:
            return Row(self.method, None, {}, self.failure)
        known = {name: self.series.details[name] for name in _TOLD if name in self.series.details}
        return Row(self.method, self.usage, {**score(self.series.images), **known}, self.series.comment)


def _run(method: str, kspace: KSpace, config: Config, report: ProgressReport) -> _Run:
    budget = Budget(config.max_recon_seconds, report)
    report("", 0.0)
    try:
        series, usage = measure(lambda: chain.reconstruct_slice(kspace, config, method, budget))
    except ReconError as error:
        return _Run(method, failure=str(error))
    return _Run(method, series, usage)


def _start_libraries(config: Config) -> None:
    """Grid a little noise: the start-up of libraries is no method's time."""
    n_spokes, n = 64, 32
    angle = np.pi * np.arange(n_spokes) / n_spokes
    radius = (np.arange(n) - n // 2) / 2
    trajectory = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    noise = np.random.default_rng(0).standard_normal((1, 2, n_spokes, n, 2))
    data = noise.view(complex)[..., 0].astype(np.complex64)
    _run("gridding", KSpace(data, trajectory[None].astype(np.float32), (n // 2, n // 2)), config, silent)


def _shown(kspace: KSpace) -> tuple[int, int]:
    """Matrix (y, x) of the images that people see."""
    return kspace.image_matrix or kspace.matrix


def _check_truth(truth: np.ndarray | None, kspace: KSpace) -> None:
    if truth is None:
        return
    expected = (kspace.n_frames, *_shown(kspace))
    if truth.shape != expected:
        raise ShapeError(
            f"the truth has shape {truth.shape}, but the k-space gives images of {expected} (frame, y, x): "
            "bin it into the truth's frames, with the truth's matrix"
        )
    if not truth.any():
        raise DataError("the truth is zero everywhere: there is nothing to compare with")


def _truth_scores(images: np.ndarray, truth: np.ndarray, normalisation: Normalisation) -> dict[str, float]:
    return truth_scores(narrow(images, truth.shape[1:]), truth, normalisation)


def _held_out_scores(images: np.ndarray, maps: CoilMaps, held_out: KSpace) -> dict[str, float]:
    return {"held_out_error": prediction_error(images, maps, held_out)}


def _sampling(kspace: KSpace, kept: KSpace, held_out: KSpace | None) -> Sampling:
    return Sampling(
        kspace.n_frames,
        measured=_spokes_a_frame(kspace),
        kept=_spokes_a_frame(kept),
        held_out=None if held_out is None else _spokes_a_frame(held_out),
    )


def _spokes_a_frame(kspace: KSpace) -> str:
    counts = (spoke_numbers(kspace) >= 0).sum(axis=1)
    return str(counts[0]) if np.ptp(counts) == 0 else f"{counts.min()} to {counts.max()}"
