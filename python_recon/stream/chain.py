"""From readouts to image series: the one path that the scanner, the daemon and the replay share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from python_recon.acquisition.binning.binning import bin_frames, stack_frames
from python_recon.acquisition.encoding import fitted, located
from python_recon.acquisition.extent import spoke_extent
from python_recon.acquisition.field_of_view import narrow
from python_recon.acquisition.gating.cardiac_frames import gate
from python_recon.acquisition.gating.physiology_record import PhysiologyRecord
from python_recon.acquisition.noise import whiten
from python_recon.acquisition.screening import refuse_noise
from python_recon.config import Config
from python_recon.data import FINAL_SERIES, CoilMaps, ImageSeries, KSpace, Readout, Scan
from python_recon.resources.kept_data import InPassing, KeptData
from python_recon.resources.memory import MemoryLimits
from python_recon.resources.scan_context import timed
from python_recon.resources.schedule import Budget, ProgressReport, silent
from python_recon.resources.usage import peak_memory
from python_recon.stream.arrivals import Arrivals
from python_recon.stream.expectation import expectation
from python_recon.stream.memory_forecast import forecast
from python_recon.stream.preparation import prepare
from python_recon.stream.previews import Previews
from python_recon.stream.slice_fit import Fit, labelled
from python_recon.stream.slice_queue import SliceKey, SliceQueue

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
    unbinned = InPassing()
    prepared = unbinned.watch(prepare_readouts(stamped, scan, config))
    with kept.counting(lambda: unbinned.n_bytes), kept.counting(lambda: stream.record.n_bytes):
        frames = _released(bin_frames(prepared, scan, config.binning, matrix), unbinned)
        yield from _reconstruct_frames(frames, config, stream)


def _released(frames: Iterable[KSpace], unbinned: InPassing) -> Iterator[KSpace]:
    """The frames; with each, the readouts before it are taken to be in frames, or left out."""
    for frame in frames:
        unbinned.release()
        yield frame


def prepare_readouts(readouts: Iterable[Readout], scan: Scan, config: Config) -> Iterator[Readout]:
    """Imaging readouts, whitened, with their place in k-space, cut to what the image matrix holds.

    Raises
    ------
    DataError
        At the end, if all of them were noise; see :func:`~python_recon.acquisition.screening.refuse_noise`.
    """
    placed = located(whiten(readouts, scan, config.noise), scan, config.trajectory)
    return fitted(refuse_noise(placed), scan, image_matrix(scan, config))


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
        yield from queue.rest(max(config.max_recon_seconds - stream.arrivals.age_s, 0.0))
    previews.conclude()


def reconstruct_slice(
    kspace: KSpace,
    config: Config,
    method: str,
    budget: Budget | None = None,
    maps: CoilMaps | None = None,
) -> ImageSeries:
    """The series of one slice by a method or, where that fails, by the next rung of the ladder.

    Parameters
    ----------
    kspace
        All frames, whitened and located, in NumPy arrays. A density that it has is kept.
    config
        Its options are those of its own method; another method runs with its preset's.
    method
        Name of the method.
    budget
        Time and progress; by default what the configuration allows.
    maps
        Of the coils and the matrix of the k-space, in NumPy arrays; the field of view is then not widened.
        None: they are estimated.
    """
    budget = budget or Budget(config.max_recon_seconds, memory=MemoryLimits.of(config))
    parts = [part.series for part in _fit(kspace, config, method, budget, maps)]
    return replace(
        parts[-1],
        images=np.concatenate([part.images for part in parts]),
        times_s=kspace.times_s,
        physiology_s=kspace.physiology_s,
        first_frame=kspace.first_frame,
        coil_maps=parts[0].coil_maps,
        details={
            **parts[-1].details,
            "seconds_method": sum(part.details["seconds_method"] for part in parts),
        },
    )


def _fit(
    kspace: KSpace, config: Config, method: str, budget: Budget, maps: CoilMaps | None = None
) -> Iterator[Fit]:
    """The frames of a slice, as a method or the rungs below it make them."""
    from python_recon.resources.device import computer
    from python_recon.stream.ladder import climb_down_in_parts

    started, matrix, first = time.monotonic(), kspace.image_matrix or kspace.matrix, 0
    prepared = prepare(kspace, config, budget, maps)
    kspace, maps = prepared.kspace, prepared.maps
    options = config.options if method == config.method else {}
    with timed("method"):
        for outcome in climb_down_in_parts(kspace, maps, method, options, budget):
            result = outcome.reconstruction
            images = narrow(result.images.cpu().numpy(), matrix)
            remarks = "; ".join(
                filter(None, [prepared.comment, maps.comment, outcome.comment, budget.cancelled_because])
            )
            figures = {
                **result.details,
                **prepared.details,
                **peak_memory(kspace.data.device.type),
                **computer(),
            }
            figures |= {"seconds_method": outcome.seconds, "virtual_coils": outcome.n_coils}
            if outcome.n_coils == kspace.n_coils:
                figures |= expectation(result, kspace, maps, outcome.seconds, budget)
            series = ImageSeries(images, outcome.name, FINAL_SERIES, comment=remarks, details=figures)
            if config.output.coil_maps and first == 0:
                series = replace(series, coil_maps=_narrow_maps(maps, matrix))
            part = kspace.frames(slice(first, first := first + len(images)))
            yield Fit(labelled(series, part), result.state if outcome.method == method else None)
    seconds = time.monotonic() - started
    _log.info("%s: %s of %d frames in %.2f s", SliceKey.of(kspace), outcome.name, first, seconds)


def _narrow_maps(maps: CoilMaps, matrix: tuple[int, int]) -> np.ndarray:
    wide = maps.maps.cpu().numpy()
    scale = np.float32(np.sqrt(np.prod(wide.shape[1:]) / np.prod(matrix)))  # maps have none, unlike images
    return narrow(wide * scale, matrix)
