"""The streamed preview: does it keep up with a scanner?

Readouts that were made ahead go through ``reconstruct_stream`` of the chain, noise scan first: once as fast
as they are taken, which gives the sustained rate, and once paced like a scanner, which gives the time from a
frame's last readout to its image, and how many readouts wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from python_recon.config import load_config
from python_recon.data import Counters, Readout, Scan
from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.phantom import FIELD_OF_VIEW_MM, HeartPhantom
from python_recon.resources.parallel import calm_blas
from python_recon.resources.usage import measure
from python_recon.stream.chain import reconstruct_stream
from tests.benchmarks import floors
from tests.benchmarks.machine import Floor
from tests.benchmarks.scene import (
    MATRIX,
    N_COILS,
    N_SAMPLES,
    REPETITION_TIME_S,
    received,
    scene,
    spokes,
    white_noise,
)
from tests.benchmarks.table import Reporter, Target

_COILS = 32
_SPOKES = 34
_FRAMES = 120
"""Enough for a 99th percentile."""
_RATE = 1 / REPETITION_TIME_S
_NOISE_READOUTS = 32
_SCAN = Scan(
    matrix=(MATRIX, MATRIX),
    encoded_matrix=(MATRIX, MATRIX),
    field_of_view_mm=(FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, 8.0),
    encoded_field_of_view_mm=(FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, 8.0),
    trajectory_kind="goldenangle",
    limits={"kspace_encode_step_1": _SPOKES - 1, "repetition": _FRAMES - 1},
    n_coils=_COILS,
)


def run(reporter: Reporter) -> None:
    config = load_config({"method": "gridding", "preview": "gridding", "binning.spokes_per_frame": _SPOKES})
    phantom = HeartPhantom(n_coils=_COILS)
    readouts = _readouts(phantom)
    reporter.say(
        f"[bold]Preview[/]: {_COILS} coils, {N_SAMPLES} samples, {_SPOKES} spokes a frame, {_FRAMES} frames, "
        f"{_NOISE_READOUTS} noise readouts first; gridding with our defaults. Without the wire: from "
        "readouts in memory to images in memory."
    )
    calm_blas()  # as every gadget does
    paced = Pace(readouts)
    shown_s = [time.perf_counter() for _ in reconstruct_stream(paced, _SCAN, config)]
    targets = _report_paced(reporter, paced, shown_s)
    series, usage = measure(lambda: list(reconstruct_stream(readouts, _SCAN, config)))
    truth = phantom.reference(_times_s().reshape(_FRAMES, _SPOKES)[-1:].mean(1), (MATRIX, MATRIX))
    error = nrmse(match_scale(series[-1].images, truth), truth)
    rate = len(readouts) / usage.seconds
    reporter.say(
        f"as fast as it goes: {rate:,.0f} readouts/s ({rate * _COILS * N_SAMPLES * 8 / 1e6:,.0f} MB/s), "
        f"{1e3 * usage.seconds / _FRAMES:.1f} ms a frame, peak {usage.peak_memory_mb:.0f} MiB; NRMSE of the "
        f"last frame {error:.3f} of the truth, up to whitening's shading"
    )
    reporter.show_floor(_floor(config.coils.maximum), usage.seconds / _FRAMES)
    reporter.judge([Target("readouts/s", rate, _RATE, at_least=True), *targets])


def _report_paced(reporter: Reporter, paced: Pace, shown_s: list[float]) -> list[Target]:
    last = _NOISE_READOUTS + _SPOKES * np.arange(1, _FRAMES + 1) - 1
    latency_ms = 1e3 * (np.array(shown_s) - np.array(paced.due_s)[last])
    waiting = np.array(paced.waiting)
    first, later = latency_ms[0], latency_ms[1:]
    reporter.say(
        f"at {_RATE:.0f} readouts/s: last readout to image {np.median(later):.1f} ms (median), "
        f"{np.percentile(later, 99):.1f} ms (99th percentile), {later.max():.1f} ms (longest), the first "
        f"frame {first:.0f} ms; readouts that waited: at most {waiting.max()}, and "
        f"{waiting[last[1:]].max()} when a later frame was complete"
    )
    frame_ms = 1e3 * _SPOKES / _RATE
    return [
        Target("99th percentile of the latency, ms", float(np.percentile(later, 99)), frame_ms),
        Target("readouts waiting at the end", float(waiting[-1]), 0.0),
    ]


@dataclass
class Pace:
    """Hands out readouts as a scanner would, and keeps account of those that have to wait."""

    readouts: list[Readout]
    due_s: list[float] = field(default_factory=list)
    """When each readout was there, on the clock of ``time.perf_counter``."""
    waiting: list[int] = field(default_factory=list)
    """Readouts that were there and not yet taken, whenever one was taken."""

    def __iter__(self) -> Iterator[Readout]:
        started = time.perf_counter()
        self.due_s = [started + (index + 1) / _RATE for index in range(len(self.readouts))]
        for index, readout in enumerate(self.readouts):
            time.sleep(max(0.0, self.due_s[index] - time.perf_counter()))
            there = int((time.perf_counter() - started) * _RATE)
            self.waiting.append(max(0, min(there, len(self.readouts)) - index - 1))
            yield readout


def _times_s() -> np.ndarray:
    return np.arange(_FRAMES * _SPOKES) * REPETITION_TIME_S


def _readouts(phantom: HeartPhantom) -> list[Readout]:
    """A noise scan and the spokes of all frames, with their trajectory embedded."""
    generator = np.random.default_rng(2)
    noise = white_noise((_NOISE_READOUTS, _COILS, N_SAMPLES), generator)
    trajectory, times_s = spokes(_FRAMES * _SPOKES), _times_s()
    data = received(phantom, trajectory, times_s, generator)
    return [
        *(Readout(np.ascontiguousarray(samples), is_noise=True) for samples in noise),
        *(
            Readout(
                data=np.ascontiguousarray(data[:, index]),
                counters=Counters(kspace_encode_step_1=index % _SPOKES, repetition=index // _SPOKES),
                center_sample=N_SAMPLES // 2,
                time_s=float(time_s),
                scan_counter=_NOISE_READOUTS + index,
                raw_trajectory=trajectory[index] / MATRIX,
            )
            for index, time_s in enumerate(times_s)
        ),
    ]


def _floor(n_virtual: int) -> Floor:
    """A frame: whitening and compression of the coils as matrix products, gridding of the virtual coils."""
    samples = _SPOKES * N_SAMPLES
    coils = Floor(other_flop=8 * _COILS * (_COILS + n_virtual) * samples, moved_bytes=8 * _COILS * samples)
    return coils + floors.nufft(scene(1, _SPOKES)) * (n_virtual / N_COILS)
