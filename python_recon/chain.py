"""From readouts to image series: the one path that the scanner, the daemon and the replay share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from python_recon.acquisition.binning import bin_frames, stack_frames
from python_recon.acquisition.coil_compression import apply_compression, compress, compression_matrix
from python_recon.acquisition.delays import correct
from python_recon.acquisition.density import fill_density
from python_recon.acquisition.extent import field_of_view_scale, narrow, trim, widen
from python_recon.acquisition.noise import whiten
from python_recon.acquisition.screening import refuse_noise
from python_recon.acquisition.trajectory import locate, spoke_extent
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import CoilMaps, ImageSeries, KSpace, Readout, Scan
from python_recon.schedule import Budget, ProgressReport, silent
from python_recon.slice_queue import Fit, SliceKey, SliceQueue, raise_failures

PREVIEW_SERIES = 1
FINAL_SERIES = 2

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
        Is told, after the last readout, how far the method is; called from another thread, but only while
        the caller waits for the next series.

    Yields
    ------
        One-frame series of index 1 while data arrive; then one series of index 2 for every slice,
        contrast and set. The series of a slice comes already between previews, where it can be fitted while
        other slices are received. Where the method is the preview's, the previews are all there is.

    Raises
    ------
    ReconError
        If the data or the configuration do not allow a reconstruction. Where only some slices fail, the
        images of all others come first; a client has then all that can be shown, and at the very end one
        error that names each slice without images and the reason.
    """
    located = prepare_readouts(readouts, scan, config)
    frames = bin_frames(located, scan, config.binning, image_matrix(scan, config))
    yield from reconstruct_frames(frames, config, report)


def prepare_readouts(readouts: Iterable[Readout], scan: Scan, config: Config) -> Iterator[Readout]:
    """Imaging readouts, whitened, with their place in k-space, cut to what the image matrix holds.

    Raises
    ------
    DataError
        At the end, if all of them were noise; see :func:`~python_recon.acquisition.screening.refuse_noise`.
    """
    located = locate(whiten(readouts, scan, config.noise), scan, config.trajectory)
    return trim(refuse_noise(located), scan, image_matrix(scan, config))


def image_matrix(scan: Scan, config: Config) -> tuple[int, int]:
    """Matrix (y, x) of the images: the header's or, where one is set, that of square pixels.

    The longer side of the field of view gets the pixels that are set, the other as many as it has room for,
    rounded to an even number.
    """
    if config.matrix is None:
        return scan.matrix
    across, down = spoke_extent(scan)
    longer = max(across, down)
    return _pixels(config.matrix, down / longer), _pixels(config.matrix, across / longer)


def _pixels(matrix: int, share: float) -> int:
    return matrix if share == 1 else max(2 * round(matrix * share / 2), 2)


def reconstruct_frames(
    frames: Iterable[KSpace], config: Config, report: ProgressReport = silent
) -> Iterator[ImageSeries]:
    """The part of :func:`reconstruct_stream` after binning."""
    previews: dict[SliceKey, Preview] = {}
    has_method = config.method != config.preview

    def fit(group: Sequence[KSpace], budget: Budget) -> Fit:
        return _fit(stack_frames(group), config, config.method, budget)

    with SliceQueue(fit, report) as queue:
        for frame in frames:
            if has_method:
                queue.add(frame)
            if config.preview != "none":
                yield from previews.setdefault(SliceKey.of(frame), Preview(config)).show(frame)
            yield from queue.ready()
        yield from queue.rest(config.max_recon_seconds)
    if not has_method:
        failures = {key: each.last_error for key, each in previews.items() if not each.n_shown}
        raise_failures({key: error for key, error in failures.items() if error}, len(previews))


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
    return _fit(kspace, config, method, budget or Budget(config.max_recon_seconds)).series


def _fit(kspace: KSpace, config: Config, method: str, budget: Budget) -> Fit:
    from python_recon.ladder import climb_down

    started, matrix = time.monotonic(), kspace.matrix
    kspace, maps = prepare_slice(kspace, config)
    prepared = time.monotonic()
    options = config.options if method == config.method else {}
    outcome = climb_down(kspace, maps, method, options, budget)
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
    seconds = time.monotonic() - started
    _log.info("%s: %s of %d frames in %.2f s", SliceKey.of(kspace), outcome.method, len(images), seconds)
    state = outcome.reconstruction.state if outcome.method == method else None
    return Fit(_labelled(series, kspace), state)


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
        self.last_error: Exception | None = None

    def show(self, frame: KSpace) -> Iterator[ImageSeries]:
        """The frame's image; nothing, and a line in the log, where it cannot be made."""
        from python_recon.ladder import SURVIVABLE

        try:
            series = self._image(frame)
        except SURVIVABLE as error:
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
