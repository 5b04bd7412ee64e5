"""Times at the published size, each within a limit, and the share of them that the arithmetic alone takes."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from python_recon.acquisition.coil_compression import compress
from python_recon.coil_maps import estimate
from python_recon.config import load_config, preset_names
from python_recon.data import CoilMaps, Counters, KSpace, Readout, Scan
from python_recon.methods.registry import resolve
from python_recon.phantom import FIELD_OF_VIEW_MM
from python_recon.resources.memory import Size
from python_recon.resources.schedule import Budget
from python_recon.resources.usage import give_memory_back
from python_recon.stream.chain import reconstruct_stream
from tests.cuda_check.running import Check
from tests.cuda_check.setting import Setting, small_fit

PART = "speed"
TARGETS_S = {
    "first preview": 0.01,
    "subspace": 0.3,
    "pisco": 3.0,
    "st_inr": 3.0,
    "pisco_paper": 20.0,
    "st_inr_paper": 30.0,
}
"""On an H200, from the prepared slice to all images; the preview from its last readout on."""
_LIMITS_S = {"cuda": 35.0, "cpu": 5.0}
"""Of a method; a fit that takes longer is cut off there, and how far it got is told."""
_OVERHEAD_S = {"cuda": 15.0, "cpu": 60.0}
_COUNTED_STEPS = (1, 2)


def checks(setting: Setting) -> Iterator[Check]:
    limit = _LIMITS_S[setting.device]
    yield Check(PART, "first preview", partial(preview, setting), 60.0)
    for name in sorted(preset_names(), key=lambda name: (name not in TARGETS_S, name)):
        yield Check(
            PART, name, partial(method_time, setting, name, limit), limit + _OVERHEAD_S[setting.device]
        )


def method_time(setting: Setting, name: str, limit: float) -> dict[str, Any]:
    """A warm run with the preset's own options; the floor is counted first, by short runs that warm up."""
    kspace, maps = _prepared(setting, name)
    options = setting.needed(name) | ({} if setting.is_cuda else _shrunk(name))
    work = partial(_run, setting, name, kspace, maps)
    floor_s = _floor_s(setting, name, options, work)
    give_memory_back()
    if setting.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds, details = work(options, limit)
    figures: dict[str, Any] = {"seconds": seconds, "floor s": floor_s}
    if details.get("stopped") != "deadline":
        figures["share"] = floor_s / seconds
    if "steps" in details:
        figures |= {"steps": details["steps"], "ended by": details["stopped"]}
        figures["set"] = ", ".join(f"{key} {n}" for key, n in _step_counts(name, options).items())
    if setting.is_cuda:
        figures["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
    method, chosen = resolve(name, options)
    figures["estimate MiB"] = method.memory(Size.of(kspace), chosen) / 2**20
    if name in TARGETS_S and setting.is_cuda:
        figures["target s"] = TARGETS_S[name]
    return figures


def _run(
    setting: Setting, name: str, kspace: KSpace, maps: CoilMaps, options: dict[str, Any], limit: float
) -> tuple[float, dict[str, Any]]:
    """Seconds from the prepared slice to all images, and the method's details."""
    method, chosen = resolve(name, options)
    _wait(setting)
    started = time.perf_counter()
    with torch.no_grad():
        result = method.run(kspace, maps, chosen, Budget(limit))
        images = [result.images, *result.later]
    _wait(setting)
    seconds = time.perf_counter() - started
    if sum(map(len, images)) != kspace.n_frames or not all(map(_is_finite, images)):
        raise AssertionError("not all frames have finite images")
    return seconds, dict(result.details)


def _prepared(setting: Setting, name: str) -> tuple[KSpace, CoilMaps]:
    """The slice with as many virtual coils as the preset takes."""
    kspace, maps = setting.published
    config = load_config({"method": name}).coils
    compressed = compress(kspace, config)
    if compressed.n_coils == kspace.n_coils:
        return kspace, maps
    return compressed, estimate(compressed, config)


def _shrunk(name: str) -> dict[str, Any]:
    """So small that a CPU does it in no time."""
    fields = resolve(name, {})[0].options.model_fields
    return small_fit(name) | {key: 3 for key in fields if key.endswith("steps")}


def _step_counts(name: str, options: dict[str, Any]) -> dict[str, int]:
    _, chosen = resolve(name, options)
    values = chosen.model_dump()
    return {key: value for key, value in values.items() if key.endswith("steps")}


def _floor_s(
    setting: Setting, name: str, options: dict[str, Any], work: Callable[..., tuple[float, dict[str, Any]]]
) -> float:
    """Seconds of the matrix products and FFTs of a whole run, at the rates of this device.

    They are counted in short runs, step by step: what one more step of each stage takes tells all of them.
    Transforms in cufinufft are not seen, so that this is rather too little.
    """
    counts = _step_counts(name, options)
    if not counts:
        return _seconds_of(setting, lambda: work(options, math.inf))
    few, more = _COUNTED_STEPS
    short = (
        options | {"compiled": "off"} if "compiled" in resolve(name, {})[0].options.model_fields else options
    )
    base = short | dict.fromkeys(counts, few)
    total = at_least = _seconds_of(setting, lambda: work(base, math.inf))
    for key, count in counts.items():
        longer = _seconds_of(setting, lambda key=key: work(base | {key: more}, math.inf))
        total += (count - few) * max(0.0, longer - at_least) / (more - few)
    return max(total, at_least)


def _seconds_of(setting: Setting, work: Callable[[], object]) -> float:
    rates = _rates(setting.device)
    with FlopCounterMode(display=False, custom_mapping=_COUNTED) as counter:
        work()
    counts = counter.get_flop_counts()["Global"]
    return sum(n / rates["fft" if "fft" in str(operation) else "product"] for operation, n in counts.items())


def _fft_flop(shape: Any, dims: Any, *_: Any, **__: Any) -> int:
    """5 n log2 n for each transform along each axis."""
    points = math.prod(shape)
    return int(sum(5 * points * math.log2(max(shape[dim], 2)) for dim in dims))


def _product_flop(a: torch.Tensor, b: torch.Tensor, **_: Any) -> int:
    """Two for each entry of the left matrix, of which a sparse one stores few, and column of the right."""
    return 2 * (a.numel() if a.layout == torch.strided else a._nnz()) * b.shape[-1]


_product_flop._get_raw = True  # tensors, not their shapes: as the counter asks for it

_COUNTED = {
    torch.ops.aten.mm: _product_flop,
    torch.ops.aten._fft_c2c: _fft_flop,
    torch.ops.aten._fft_r2c: _fft_flop,
    torch.ops.aten._fft_c2r: _fft_flop,
}


@functools.cache
def _rates(device: str) -> dict[str, float]:
    """Operations a second of this device: products in the fits' precision, and FFTs of twice the matrix."""
    n, dtype = (8192, torch.bfloat16) if device == "cuda" else (512, torch.float32)
    a = torch.randn(n, n, device=device).to(dtype)
    x = torch.randn(2048 if device == "cuda" else 64, 384, dtype=torch.complex64, device=device)
    product, fft = _best_s(device, lambda: a @ a), _best_s(device, lambda: torch.fft.fft(x))
    return {"product": 2 * n**3 / product, "fft": 5 * x.numel() * math.log2(384) / fft}


def _best_s(device: str, work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def rates(setting: Setting) -> dict[str, float]:
    """For the report, in GFLOP/s."""
    return {name: rate / 1e9 for name, rate in _rates(setting.device).items()}


def preview(setting: Setting) -> dict[str, Any]:
    """Time from the last readout of a frame to its image, by a process that has shown previews before."""
    kspace = setting.published[0].to_numpy()
    n_frames = min(kspace.n_frames, 8)
    rows, columns = kspace.matrix
    size_mm = (FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, 8.0)
    scan = Scan(
        matrix=kspace.matrix,
        encoded_matrix=(rows, columns),
        field_of_view_mm=size_mm,
        encoded_field_of_view_mm=size_mm,
        trajectory_kind="goldenangle",
        limits={"kspace_encode_step_1": kspace.n_spokes - 1, "repetition": n_frames - 1},
        n_coils=kspace.n_coils,
    )
    settings = {"method": "gridding", "preview": "gridding", "device": setting.device}
    config = load_config({**settings, "binning.spokes_per_frame": kspace.n_spokes})
    latencies: list[float] = []
    for _ in range(2):
        last: list[float] = []
        shown = [
            time.perf_counter() for _ in reconstruct_stream(_readouts(kspace, n_frames, last), scan, config)
        ]
        latencies = [after - before for before, after in zip(last, shown, strict=True)]
    figures = {"seconds": latencies[0], "later, median s": median(latencies[1:]), "longest s": max(latencies)}
    return figures | ({"target s": TARGETS_S["first preview"]} if setting.is_cuda else {})


def _readouts(kspace: KSpace, n_frames: int, last: list[float]) -> Iterator[Readout]:
    """Noise, then the spokes of some frames, each with its trajectory; when a frame was complete is noted."""
    generator = np.random.default_rng(2)
    for _ in range(8):
        parts = generator.standard_normal((kspace.n_coils, kspace.n_samples, 2), np.float32)
        yield Readout(0.03 * parts.view(np.complex64)[..., 0], is_noise=True)
    for frame in range(n_frames):
        for spoke in range(kspace.n_spokes):
            if spoke == kspace.n_spokes - 1:
                last.append(time.perf_counter())
            yield Readout(
                data=np.ascontiguousarray(kspace.data[frame, :, spoke]),
                counters=Counters(kspace_encode_step_1=spoke, repetition=frame),
                center_sample=kspace.n_samples // 2,
                time_s=float(kspace.spoke_times_s[frame, spoke]),
                scan_counter=frame * kspace.n_spokes + spoke,
                raw_trajectory=kspace.trajectory[frame, spoke] / kspace.matrix[::-1],
            )


def _wait(setting: Setting) -> None:
    if setting.is_cuda:
        torch.cuda.synchronize()


def _is_finite(images: torch.Tensor) -> bool:
    return bool(torch.isfinite(torch.view_as_real(images)).all())
