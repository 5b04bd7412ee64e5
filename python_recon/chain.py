"""From readouts to image series: the one path that the scanner, the daemon and the replay share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from python_recon.acquisition.binning import bin_frames, stack_frames
from python_recon.acquisition.cardiac_frames import gate
from python_recon.acquisition.coil_compression import compress
from python_recon.acquisition.delays import correct
from python_recon.acquisition.density import fill_density
from python_recon.acquisition.extent import field_of_view_scale, narrow, trim, widen
from python_recon.acquisition.noise import whiten
from python_recon.acquisition.physiology_record import PhysiologyRecord
from python_recon.acquisition.screening import refuse_noise
from python_recon.acquisition.trajectory import locate, spoke_extent
from python_recon.arrivals import Arrivals
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import FINAL_SERIES, CoilMaps, ImageSeries, KSpace, Readout, Scan
from python_recon.errors import BackendError
from python_recon.kept_data import KeptData
from python_recon.memory import MemoryLimits, Size, is_out_of_memory, told
from python_recon.memory_forecast import forecast
from python_recon.previews import Previews
from python_recon.scan_context import timed
from python_recon.schedule import Budget, ProgressReport, silent
from python_recon.slice_fit import Fit, labelled
from python_recon.slice_queue import SliceKey, SliceQueue
from python_recon.usage import give_memory_back, peak_memory

_log = logging.getLogger(__name__)


def reconstruct_stream(
    readouts: Iterable[Readout],
    scan: Scan,
    config: Config,
    report: ProgressReport = silent,
    record: PhysiologyRecord | None = None,
    kept: KeptData | None = None,
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
    record
        Gathers the waveforms that come between the readouts; by default there are none.
    kept
        Of the readouts that are still to come, what is in memory already; by default that is nothing.

    Yields
    ------
        One-frame series of index 1 while data arrive; then the series of index 2 for every slice, contrast
        and set, in as many parts as the method makes it in. That of a slice comes already between previews,
        where it can be fitted while other slices are received. Where the method is the preview's, the
        previews are all there is.

    Raises
    ------
    ReconError
        If the data or the configuration do not allow a reconstruction. Where only some slices fail, the
        images of all others come first; a client has then all that can be shown, and at the very end one
        error that names each slice without images and the reason. Before the first readout is taken, if the
        scan that the header announces is too large for the memory.
    """
    record, kept = record or PhysiologyRecord(), kept or KeptData()
    stream = _Stream(report, record, Arrivals(), MemoryLimits.of(config), kept)
    matrix = image_matrix(scan, config)
    if _has_method(config):
        forecast(scan, config, matrix).check(stream.limits)
    stamped = stream.record.stamped(stream.arrivals.watch(readouts))
    frames = bin_frames(prepare_readouts(stamped, scan, config), scan, config.binning, matrix)
    yield from _reconstruct_frames(frames, config, stream)


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


@dataclass(frozen=True)
class _Stream:
    """What accompanies the frames of a scan."""

    report: ProgressReport
    record: PhysiologyRecord
    arrivals: Arrivals
    limits: MemoryLimits
    kept: KeptData


def _has_method(config: Config) -> bool:
    """Whether other images follow the previews."""
    return config.method != config.preview or config.binning.by == "cardiac"


def _reconstruct_frames(frames: Iterable[KSpace], config: Config, stream: _Stream) -> Iterator[ImageSeries]:
    """The part of :func:`reconstruct_stream` after binning."""
    has_method = _has_method(config)
    previews = Previews(config, stream.arrivals, may_skip=has_method)

    def fit(group: Sequence[KSpace], budget: Budget) -> Iterator[Fit]:
        kspace = gate(stack_frames(group), stream.record.so_far(), config.binning)
        limits = stream.limits.beside(stream.kept.n_bytes)
        return _fit(kspace, config, config.method, replace(budget, memory=limits))

    queue = SliceQueue(fit, stream.report, at_end=config.binning.by == "cardiac")
    with stream.kept.counting(lambda: queue.held_bytes), queue:
        for frame in frames:
            if has_method:
                queue.add(frame)
                stream.limits.check_held(stream.kept.n_bytes, queue.n_frames)
            yield from previews.show(frame)
            yield from queue.ready()
        yield from queue.rest(config.max_recon_seconds)
    previews.conclude()


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
    budget = budget or Budget(config.max_recon_seconds, memory=MemoryLimits.of(config))
    parts = [part.series for part in _fit(kspace, config, method, budget)]
    return replace(
        parts[-1],
        images=np.concatenate([part.images for part in parts]),
        times_s=kspace.times_s,
        physiology_s=kspace.physiology_s,
        first_frame=kspace.first_frame,
        coil_maps=parts[0].coil_maps,
    )


def _fit(kspace: KSpace, config: Config, method: str, budget: Budget) -> Iterator[Fit]:
    """The frames of a slice, as a method or the rungs below it make them."""
    from python_recon.device import computer
    from python_recon.ladder import climb_down_in_parts

    started, matrix, first = time.monotonic(), kspace.matrix, 0
    kspace, maps, details, comment = _prepare(kspace, config, budget.memory)
    options = config.options if method == config.method else {}
    with timed("method"):
        for outcome in climb_down_in_parts(kspace, maps, method, options, budget):
            result = outcome.reconstruction
            images = narrow(result.images.cpu().numpy(), matrix)
            remarks = "; ".join(filter(None, [comment, maps.comment, outcome.comment]))
            figures = {**result.details, **details, **peak_memory(kspace.data.device.type), **computer()}
            figures |= {"seconds_method": outcome.seconds, "virtual_coils": outcome.n_coils}
            series = ImageSeries(images, outcome.method, FINAL_SERIES, comment=remarks, details=figures)
            if config.output.coil_maps and first == 0:
                series = replace(series, coil_maps=_narrow_maps(maps, matrix))
            part = kspace.frames(slice(first, first := first + len(images)))
            yield Fit(labelled(series, part), result.state if outcome.method == method else None)
    seconds = time.monotonic() - started
    _log.info("%s: %s of %d frames in %.2f s", SliceKey.of(kspace), outcome.method, first, seconds)


def prepare_slice(kspace: KSpace, config: Config) -> tuple[KSpace, CoilMaps]:
    """k-space and coil maps on the device, ready for a method.

    Delays are corrected, the field of view is made as wide as the object (``narrow`` cuts the images),
    coils are compressed, density and maps computed.
    """
    kspace = _prepare_kspace(kspace, config)
    return kspace, estimate(kspace, config.coils)


def _narrow_maps(maps: CoilMaps, matrix: tuple[int, int]) -> np.ndarray:
    wide = maps.maps.cpu().numpy()
    scale = np.float32(np.sqrt(np.prod(wide.shape[1:]) / np.prod(matrix)))  # maps have none, unlike images
    return narrow(wide * scale, matrix)


def _prepare(
    kspace: KSpace, config: Config, limits: MemoryLimits
) -> tuple[KSpace, CoilMaps, dict[str, Any], str]:
    """A slice ready for a method, what is worth keeping of that, and what a reader should know of it.

    Raises
    ------
    BackendError
        If the host's memory is too small for it. Where the GPU's is, the CPU takes its place.
    """
    need = Size.of(kspace).preparation
    if need > limits.host:
        raise BackendError(
            f"to prepare the slice takes {told(need)} of host memory, {told(max(limits.host, 0))} are left; "
            "raise max_host_gb or measure fewer slices or frames"
        )
    try:
        return *_prepare_timed(kspace, config), ""
    except (MemoryError, RuntimeError) as error:
        if config.device == "cpu" or not is_out_of_memory(error):
            raise
        _log.warning("the slice is prepared on the CPU: %s", str(error))
    give_memory_back()
    on_cpu = config.model_copy(update={"device": "cpu"})
    return *_prepare_timed(kspace, on_cpu), "the GPU has too little memory for the slice: done on the CPU"


def _prepare_timed(kspace: KSpace, config: Config) -> tuple[KSpace, CoilMaps, dict[str, Any]]:
    started, matrix = time.monotonic(), kspace.matrix
    with timed("preparation"):
        kspace = _prepare_kspace(kspace, config)
    prepared = time.monotonic()
    with timed("coil maps"):
        maps = estimate(kspace, config.coils)
    details = {
        "seconds_preparation": prepared - started,
        "seconds_coil_maps": time.monotonic() - prepared,
        "coil_maps": maps.source,
        "field_of_view_scale": kspace.matrix[0] / matrix[0],
    }
    return kspace, maps, details


def _prepare_kspace(kspace: KSpace, config: Config) -> KSpace:
    from python_recon.device import set_up

    device = set_up(config)
    kspace = widen(kspace, config.field_of_view_scale or field_of_view_scale(kspace))
    kspace = compress(correct(kspace, config.trajectory.correct_delay), config.coils)
    return fill_density(kspace, config.density).to_torch(device)
