"""A stack of stars: does a first preview come while it runs, and what do all slices take beside one?

The readouts go through the stages of the scanner: made into those of slices, binned, previewed, fitted.
One slice is the same scan of which only the middle slice is kept, with all threads and with one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from python_recon.acquisition.stack.slab import slice_scan
from python_recon.acquisition.stack.volume import slices_of
from python_recon.config import load_config
from python_recon.data import Counters, Geometry, Readout, Scan
from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.phantom import FIELD_OF_VIEW_MM, HeartPhantom, SlabPhantom
from python_recon.resources.kept_data import KeptData
from python_recon.resources.usage import measure
from python_recon.stream.chain import reconstruct_stream
from tests.benchmarks import THREADS
from tests.benchmarks.scene import REPETITION_TIME_S, white_noise
from tests.benchmarks.table import Reporter, Target

_THICKNESS_MM = 60.0
_NOISE = 0.03
_GAIN = 1.6
"""What two cores have to be worth."""


@dataclass(frozen=True)
class Size:
    """Of the scan."""

    matrix: int = 192
    coils: int = 8
    partitions: int = 24
    spokes: int = 400
    spokes_per_frame: int = 50


def run(reporter: Reporter, size: Size | None = None) -> None:
    """Measure, say and judge."""
    size = size or Size()
    reporter.say(
        f"[bold]Stack of stars[/]: matrix {size.matrix}, {size.coils} coils, {size.partitions} partitions, "
        f"{size.spokes} spokes in frames of {size.spokes_per_frame}; GRASP with our defaults"
    )
    slab = _slab(size)
    readouts = _readouts(slab, size)
    middle = size.partitions // 2
    _measured(readouts[: 2 * size.partitions * size.spokes_per_frame], size, THREADS, middle)  # warm-up
    shown_s, images, usage = _measured(readouts, size, THREADS)
    one_s = [_measured(readouts, size, threads, middle)[2].seconds for threads in (THREADS, 1)]
    truth = slab.reference(_frame_times_s(size)[-1:], size.partitions, (size.matrix,) * 2, has_corners=False)
    error = nrmse(match_scale(images[middle][-1:], truth[middle]), truth[middle])
    reporter.say(
        f"all slices {usage.seconds:.1f} s, one slice {one_s[0]:.1f} s with {THREADS} threads and "
        f"{one_s[1]:.1f} s with one; peak {usage.peak_memory_mb:.0f} MiB; "
        f"NRMSE of the middle slice {error:.3f}"
    )
    share = shown_s / (len(readouts) * REPETITION_TIME_S)
    limit = size.partitions * one_s[1] / _GAIN
    reporter.judge(
        [Target("first preview, in scans", share, 1.0), Target("all slices, s", usage.seconds, limit)]
    )


def _measured(readouts: Sequence[Readout], size: Size, threads: int, only: int | None = None):
    """Time on the scanner's clock of the first preview, images by slice, and what it took."""
    config = load_config(
        {"method": "grasp", "threads": threads, "binning.spokes_per_frame": size.spokes_per_frame}
    )
    scan, taken = _scan(size), 0

    def counted() -> Iterator[Readout]:
        nonlocal taken
        for taken, readout in enumerate(readouts, 1):  # noqa: B007
            yield readout

    def stream() -> tuple[float, dict[int, np.ndarray]]:
        slices = slices_of(counted(), scan, KeptData())
        kept = (each for each in slices if only is None or each.counters.slice == only)
        first, images = 0, {}
        for series in reconstruct_stream(kept, slice_scan(scan), config):
            first = first or taken
            if series.series_index == 2:
                images[series.counters.slice] = series.images
        return first * REPETITION_TIME_S, images

    (shown_s, images), usage = measure(stream)
    return shown_s, images, usage


def _scan(size: Size) -> Scan:
    extent = (FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, _THICKNESS_MM)
    return Scan(
        matrix=(size.matrix, size.matrix),
        encoded_matrix=(size.matrix, size.matrix),
        field_of_view_mm=extent,
        encoded_field_of_view_mm=extent,
        partitions=size.partitions,
        trajectory_kind="goldenangle",
        limits={"kspace_encode_step_1": size.spokes - 1, "kspace_encode_step_2": size.partitions - 1},
        centres={"kspace_encode_step_2": size.partitions // 2},
        n_coils=size.coils,
    )


def _slab(size: Size) -> SlabPhantom:
    heights = ((np.arange(2 * size.partitions) + 0.5) / (2 * size.partitions) - 0.5) * _THICKNESS_MM
    return SlabPhantom(
        [
            HeartPhantom(n_coils=size.coils, slice_offset_mm=10 + mm, coil_height=mm / FIELD_OF_VIEW_MM)
            for mm in heights
        ],
        _THICKNESS_MM,
    )


def _frame_times_s(size: Size) -> np.ndarray:
    n_frames = size.spokes // size.spokes_per_frame
    seconds = REPETITION_TIME_S * size.partitions * size.spokes_per_frame
    return (np.arange(n_frames) + 0.5) * seconds


def _readouts(slab: SlabPhantom, size: Size) -> list[Readout]:
    """All partitions of a spoke, then the next spoke, with noise; trajectories embedded."""
    generator = np.random.default_rng(3)
    radius = (np.arange(2 * size.matrix) - size.matrix) / 2
    found: list[Readout] = []
    for spoke in range(size.spokes):
        angle = np.deg2rad(spoke * 111.246117975 % 360)
        places = np.stack([np.cos(angle) * radius, np.sin(angle) * radius], -1)[None]
        time_s = REPETITION_TIME_S * size.partitions * spoke
        data = slab.kspace(places, np.array([time_s]), size.partitions)[:, 0]
        data = size.matrix * np.sqrt(size.partitions) * data.swapaxes(0, 1)
        data = data + _NOISE * np.sqrt(2) * white_noise(data.shape, generator)
        for partition, samples in enumerate(data):
            found.append(
                Readout(
                    data=samples.astype(np.complex64),
                    counters=Counters(spoke, partition),
                    geometry=Geometry(field_of_view_mm=(FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, _THICKNESS_MM)),
                    center_sample=size.matrix,
                    time_s=time_s + partition * REPETITION_TIME_S,
                    scan_counter=len(found),
                    raw_trajectory=(places[0] / size.matrix).astype(np.float32),
                )
            )
    return found
