"""Methods side by side on one slice: errors, time and memory.

With a truth, the magnitudes of every method are scaled to it by one least-squares factor for the series and
scored. Without one, some spokes are held out, every method reconstructs from the others, and the error is
that of the held-out spokes as the method's images predict them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from python_recon import chain, metrics
from python_recon.acquisition.coil_compression import compress
from python_recon.acquisition.delays import correct
from python_recon.acquisition.extent import field_of_view_scale, narrow, widen
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import CoilMaps, ImageSeries, KSpace
from python_recon.errors import DataError, ReconError, ShapeError
from python_recon.held_out import (
    every_kth_spoke,
    middle_spokes,
    own_spokes,
    prediction_error,
    select,
    spoke_numbers,
)
from python_recon.methods.registry import resolve
from python_recon.outputs.series import liveliest_point
from python_recon.usage import Usage, measure

HOLD_OUT_EVERY = 8
"""Without a truth, one spoke in so many is held out."""

Score: TypeAlias = Callable[[np.ndarray], Mapping[str, float]]

_COLUMNS = {
    "nrmse": ("NRMSE", ".4f"),
    "psnr": ("PSNR (dB)", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "fsim": ("FSIM", ".4f"),
    "fsim_xt": ("FSIM x-t", ".4f"),
    "held_out_error": ("Held-out error", ".4f"),
}


@dataclass(frozen=True)
class Row:
    """One method."""

    method: str
    usage: Usage | None
    """None where the method failed."""
    scores: Mapping[str, float]
    """nrmse, psnr (dB), ssim, fsim and fsim_xt against the truth, or held_out_error."""
    comment: str = ""
    """The rung of the ladder that it fell to, or why there are no images."""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on one slice."""

    rows: tuple[Row, ...]
    images: Mapping[str, np.ndarray]
    """(frame, y, x) magnitude by method, on one scale."""
    truth: np.ndarray | None
    """(frame, y, x) magnitude."""
    point: tuple[int, int]
    """Pixel (y, x) through which the time profiles go: where the truth, else the first method, moves most."""
    notes: tuple[str, ...]
    """What was compared and how, for the reader of the numbers."""

    def as_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows, as text."""
        names = [name for name in _COLUMNS if any(name in row.scores for row in self.rows)]
        on_device = any(row.usage is not None and row.usage.peak_device_mb > 0 for row in self.rows)
        header = ["Method", "Time (s)", "Memory (MB)", *(["Device (MB)"] if on_device else [])]
        header += [*(_COLUMNS[name][0] for name in names), "Remarks"]
        return header, [_cells(row, names, on_device) for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """All numbers, without the images."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "point": list(self.point),
            "notes": list(self.notes),
        }


def _cells(row: Row, names: Iterable[str], on_device: bool) -> list[str]:
    taken = ["–"] * (3 if on_device else 2)
    if row.usage is not None:
        figures = (
            f"{row.usage.seconds:.2f}",
            f"{row.usage.peak_memory_mb:.0f}",
            f"{row.usage.peak_device_mb:.0f}",
        )
        taken = list(figures[: len(taken)])
    scores = [format(row.scores[name], _COLUMNS[name][1]) if name in row.scores else "–" for name in names]
    return [row.method, *taken, *scores, row.comment]


def compare(
    kspace: KSpace,
    methods: Sequence[str],
    config: Config,
    *,
    truth: np.ndarray | None = None,
    retrospective_spokes: int | None = None,
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
    truth
        (frame, y, x), in the frames and the matrix of ``kspace``. No method sees it.
    retrospective_spokes
        Keep so many spokes of every frame, consecutive and in its middle; without a truth those that are
        left out are the held-out spokes. None: keep all, but for one in eight where there is no truth.

    Raises
    ------
    ConfigError
        For an unknown method.
    DataError
        If the truth does not fit the k-space, or the frames have fewer spokes than asked for.
    """
    for method in methods:
        resolve(method, {})  # imports it as well, which should not count as its time
    _check_truth(truth, kspace)
    prepared, config = _prepare(kspace, config)
    kept, held_out = _split(prepared, retrospective_spokes, holds_out=truth is None)
    _run("gridding", kept.frames(slice(0, 1)), config)  # the libraries' start-up is no method's time
    runs = [_run(method, kept, config) for method in methods]
    good = {run.method: narrow(run.series.images, kspace.matrix) for run in runs if run.series is not None}
    reference = truth if truth is not None else next(iter(good.values()), np.zeros((1, 1, 1)))
    point = liveliest_point(reference)
    if held_out is None:
        score: Score = partial(_truth_scores, truth=reference, point=point)
    else:
        score = partial(_held_out_scores, maps=estimate(kept, config.coils), held_out=held_out)
    return Comparison(
        rows=tuple(run.row(score) for run in runs),
        images={method: metrics.match_scale(images, reference) for method, images in good.items()},
        truth=None if truth is None else np.abs(truth),
        point=point,
        notes=_notes(kspace, kept, held_out),
    )


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
        return Row(self.method, self.usage, score(self.series.images), self.series.comment)


def _run(method: str, kspace: KSpace, config: Config) -> _Run:
    try:
        series, usage = measure(lambda: chain.reconstruct_slice(kspace, config, method))
    except ReconError as error:
        return _Run(method, failure=str(error))
    return _Run(method, series, usage)


def _check_truth(truth: np.ndarray | None, kspace: KSpace) -> None:
    expected = (kspace.n_frames, *kspace.matrix)
    if truth is not None and truth.shape != expected:
        raise ShapeError(
            f"the truth has shape {truth.shape}, but the k-space gives images of {expected} (frame, y, x): "
            "bin it into the truth's frames, with the truth's matrix"
        )


def _prepare(kspace: KSpace, config: Config) -> tuple[KSpace, Config]:
    """Delay correction, field of view and coil compression, once for methods and held-out spokes.

    They see all spokes, the held-out ones too: they know coils, gradients and extent, not images. Returns
    the k-space, and the configuration by which the chain does nothing a second time.
    """
    kspace = widen(kspace, config.field_of_view_scale or field_of_view_scale(kspace))
    kspace = compress(correct(kspace, config.trajectory.correct_delay), config.coils)
    done = {
        "trajectory": config.trajectory.model_copy(update={"correct_delay": "off"}),
        "coils": config.coils.model_copy(update={"virtual": kspace.n_coils}),
        "field_of_view_scale": 1.0,
    }
    return kspace, config.model_copy(update=done)


def _split(
    kspace: KSpace, retrospective_spokes: int | None, *, holds_out: bool
) -> tuple[KSpace, KSpace | None]:
    """The k-space for the methods, and the held-out one, if any is to be."""
    numbers = spoke_numbers(kspace)
    if retrospective_spokes is not None:
        kept = middle_spokes(kspace, retrospective_spokes)
        # With sliding windows a spoke that this frame leaves out may still be in its neighbour.
        left_out = own_spokes(kspace) & ~np.isin(numbers, numbers[kept])
    else:
        left_out = every_kth_spoke(kspace, HOLD_OUT_EVERY) & holds_out
        kept = (numbers >= 0) & ~left_out
    if not holds_out:
        return select(kspace, kept), None
    if not left_out.any():
        raise DataError(
            "no spoke is left to be held out: keep fewer spokes a frame, or give a truth to compare with"
        )
    return select(kspace, kept), select(kspace, left_out)


def _truth_scores(images: np.ndarray, truth: np.ndarray, point: tuple[int, int]) -> dict[str, float]:
    y, x = point
    images = narrow(images, truth.shape[1:])
    scaled = metrics.match_scale(images, truth)
    lines = [(metrics.time_profiles(scaled, y=y), metrics.time_profiles(truth, y=y))]
    lines += [(metrics.time_profiles(scaled, x=x), metrics.time_profiles(truth, x=x))]
    return metrics.scores(images, truth) | {
        "fsim_xt": float(np.mean([metrics.fsim(*pair) for pair in lines]))
    }


def _held_out_scores(images: np.ndarray, maps: CoilMaps, held_out: KSpace) -> dict[str, float]:
    return {"held_out_error": prediction_error(images, maps, held_out)}


def _notes(kspace: KSpace, kept: KSpace, held_out: KSpace | None) -> tuple[str, ...]:
    numbers = [_spokes_a_frame(part) for part in (kept, kspace)]
    notes = [f"{kspace.n_frames} frames of {numbers[0]} spokes, of {numbers[1]} measured."]
    if held_out is None:
        notes += ["Magnitudes are scaled to the truth by one least-squares factor for the series."]
        notes += ["FSIM x-t is the mean of the two lines that cross where the truth moves most."]
    else:
        notes += [f"Held out: {_spokes_a_frame(held_out)} spokes a frame, which no method saw."]
        notes += ["Their error is relative, each sample weighted by its radius in k-space."]
    notes += [
        "Time and memory: coil maps, density and method; growth of resident memory, sampled every 5 ms."
    ]
    return tuple(notes)


def _spokes_a_frame(kspace: KSpace) -> str:
    counts = (spoke_numbers(kspace) >= 0).sum(axis=1)
    return str(counts[0]) if np.ptp(counts) == 0 else f"{counts.min()} to {counts.max()}"
