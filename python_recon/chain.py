"""From readouts to image series: the one path that the scanner, the daemon and the replay share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from python_recon.acquisition.binning import bin_frames, stack_frames
from python_recon.acquisition.coil_compression import apply_compression, compress, compression_matrix
from python_recon.acquisition.delays import correct
from python_recon.acquisition.density import fill_density
from python_recon.acquisition.extent import field_of_view_scale, narrow, trim, widen
from python_recon.acquisition.noise import whiten
from python_recon.acquisition.trajectory import locate
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import CoilMaps, ImageSeries, KSpace, Readout, Scan
from python_recon.errors import ReconError
from python_recon.schedule import Budget, ProgressReport, silent

PREVIEW_SERIES = 1
FINAL_SERIES = 2

_Slice: TypeAlias = tuple[int, int, int, int]
"""Slice, contrast, set and run: what is reconstructed together."""

_log = logging.getLogger(__name__)


def reconstruct_stream(
    readouts: Iterable[Readout], scan: Scan, config: Config, report: ProgressReport = silent
) -> Iterator[ImageSeries]:
    """Reconstruct a scan as it arrives: a preview of every frame, then the configured method.

    Parameters
    ----------
    readouts
        As the gadgets deliver them, noise readouts included.
    scan
        What the header says.
    config
        Everything that can be set.
    report
        Is told how far the method is.

    Yields
    ------
        One-frame series of index 1 while data arrive; then one series of index 2 for every slice,
        contrast and set. Where the method is the preview's, the previews are all there is.

    Raises
    ------
    ReconError
        If the data or the configuration do not allow a reconstruction.
    """
    located = prepare_readouts(readouts, scan, config)
    frames = bin_frames(located, scan, config.binning, image_matrix(scan, config))
    yield from reconstruct_frames(frames, config, report)


def prepare_readouts(readouts: Iterable[Readout], scan: Scan, config: Config) -> Iterator[Readout]:
    """Imaging readouts, whitened, with their place in k-space, cut to what the image matrix holds."""
    located = locate(whiten(readouts, scan, config.noise), scan, config.trajectory)
    return trim(located, scan, image_matrix(scan, config))


def image_matrix(scan: Scan, config: Config) -> tuple[int, int]:
    """Matrix (y, x) of the images."""
    return (config.matrix, config.matrix) if config.matrix else scan.matrix


def reconstruct_frames(
    frames: Iterable[KSpace], config: Config, report: ProgressReport = silent
) -> Iterator[ImageSeries]:
    """The part of :func:`reconstruct_stream` after binning."""
    slices: dict[_Slice, list[KSpace]] = {}
    previews: dict[_Slice, Preview] = {}
    for frame in frames:
        key = (frame.counters.slice, frame.counters.contrast, frame.counters.set, frame.run)
        slices.setdefault(key, []).append(frame)
        if config.preview != "none":
            preview = previews.setdefault(key, Preview(config))
            yield from preview.show(frame)
    if config.method == config.preview:
        _require_images(previews.values())
        return
    ended = Budget(config.max_recon_seconds, report)
    for done, group in enumerate(slices.values()):
        budget = Budget(max(ended.left_s, 0.0) / (len(slices) - done), report)
        yield reconstruct_slice(stack_frames(group), config, config.method, budget)
        group.clear()


def reconstruct_slice(
    kspace: KSpace, config: Config, method: str, budget: Budget | None = None
) -> ImageSeries:
    """The series of one slice by a method or, where that fails, by the next rung of the ladder.

    Parameters
    ----------
    kspace
        All frames, whitened and located, in NumPy arrays.
    config
        Its options are those of its own method; another method runs with its preset's.
    method
        Name of the method.
    budget
        Time and progress; by default what the configuration allows.
    """
    from python_recon.ladder import climb_down

    started, matrix = time.monotonic(), kspace.matrix
    kspace, maps = prepare_slice(kspace, config)
    prepared = time.monotonic()
    options = config.options if method == config.method else {}
    outcome = climb_down(kspace, maps, method, options, budget or Budget(config.max_recon_seconds))
    images = narrow(outcome.reconstruction.images.cpu().numpy(), matrix)
    details = {
        **outcome.reconstruction.details,
        "seconds_preparation": prepared - started,
        "seconds_method": outcome.seconds,
        "coil_maps": maps.source,
        "virtual_coils": maps.n_coils,
        "field_of_view_scale": kspace.matrix[0] / matrix[0],
    }
    series = ImageSeries(images, outcome.method, FINAL_SERIES, comment=outcome.comment, details=details)
    _log.info(
        "slice %d: %s of %d frames in %.2f s",
        kspace.counters.slice,
        outcome.method,
        len(images),
        time.monotonic() - started,
    )
    return _labelled(series, kspace)


def prepare_slice(kspace: KSpace, config: Config) -> tuple[KSpace, CoilMaps]:
    """k-space and coil maps on the device, ready for a method.

    Delays are corrected, the field of view is made as wide as the object (``narrow`` cuts the images),
    coils are compressed, density and maps computed.
    """
    from python_recon.device import set_up

    device = set_up(config)
    kspace = widen(kspace, config.field_of_view_scale or field_of_view_scale(kspace))
    kspace = compress(correct(kspace, config.trajectory.correct_delay), config.coils)
    kspace = fill_density(kspace, config.density).to_torch(device)
    return kspace, estimate(kspace, config.coils)


class Preview:
    """Images of single frames of one slice, at once.

    Virtual coils are chosen by the first frame. The coil maps come from the frames so far, anew whenever
    their number has doubled: rough at first, and soon good, at a cost that does not grow.
    """

    _FRAMES_FOR_MAPS = 16

    def __init__(self, config: Config) -> None:
        coils = config.coils.model_copy(update={"maps": "low_resolution"})
        self._config = config.model_copy(update={"coils": coils})
        self._recent: list[KSpace] = []
        self._matrix: np.ndarray | None = None
        self._maps: CoilMaps | None = None
        self.n_shown = 0
        self.last_error: ReconError | None = None

    def show(self, frame: KSpace) -> Iterator[ImageSeries]:
        """The frame's image; nothing, and a line in the log, where it cannot be made."""
        try:
            series = self._image(frame)
        except ReconError as error:
            self.last_error = error
            _log.warning("no preview of frame %d: %s", frame.first_frame, error)
            return
        self.n_shown += 1
        yield series

    def _image(self, frame: KSpace) -> ImageSeries:
        from python_recon.device import set_up
        from python_recon.ladder import climb_down

        started = time.monotonic()
        config = self._config
        if self._matrix is None:
            self._matrix = compression_matrix(frame, config.coils)
        frame = apply_compression(frame, self._matrix)
        maps = self._current_maps(frame)
        prepared = fill_density(frame, config.density).to_torch(set_up(config))
        outcome = climb_down(prepared, maps, config.preview, {}, Budget(config.max_recon_seconds))
        series = ImageSeries(
            outcome.reconstruction.images.cpu().numpy(),
            outcome.method,
            PREVIEW_SERIES,
            comment=outcome.comment,
            details={"seconds_method": time.monotonic() - started},
        )
        return _labelled(series, frame)

    def _current_maps(self, frame: KSpace) -> CoilMaps:
        self._recent = [*self._recent, frame][-self._FRAMES_FOR_MAPS :]
        count = len(self._recent)
        if self._maps is None or (count < self._FRAMES_FOR_MAPS and count & (count - 1) == 0):
            self._maps = estimate(stack_frames(self._recent).to_torch(), self._config.coils)
        return self._maps


def _require_images(previews: Iterable[Preview]) -> None:
    """Raise the last error where the previews are all there is and none could be made."""
    previews = list(previews)
    error = next((preview.last_error for preview in previews if preview.last_error), None)
    if error and not any(preview.n_shown for preview in previews):
        raise error


def _labelled(series: ImageSeries, kspace: KSpace) -> ImageSeries:
    """The series with everything that travels with the k-space."""
    return replace(
        series,
        geometry=kspace.geometry,
        counters=kspace.counters,
        times_s=kspace.times_s,
        physiology_s=kspace.physiology_s,
        first_frame=kspace.first_frame,
        measurement_id=kspace.measurement_id,
    )
