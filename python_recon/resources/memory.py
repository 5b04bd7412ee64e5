"""Memory: what a slice needs, what there is, and what a scan that does not fit is told.

The need is that of the prepared slice and, on top of it, the peak of its method. It is estimated three times:
from the header, before data arrive; by the bytes that are held, while they arrive; and from the arrays
themselves, before a method runs. Measured on a CPU, estimates lie within a factor of two of the peaks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from python_recon.errors import BackendError, DataError

if TYPE_CHECKING:
    from python_recon.config import Config
    from python_recon.data import KSpace

GB = 10**9
FEWEST_COILS = 4
"""Virtual coils below which memory is not saved any more."""
_MARGIN = 0.9
"""Share of the free memory that a scan may take unless it is told."""
_ALWAYS = 16 * 2**20
"""What any method takes, however small the slice."""
_PREPARATION = 5
"""Copies of the data, as they were received, while a slice is prepared."""
_PHRASES = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "cudaErrorMemoryAllocation")


@dataclass(frozen=True)
class Size:
    """What the memory for a slice grows with."""

    n_frames: int
    n_coils: int
    n_spokes: int
    """Of a frame."""
    n_samples: int
    """Of a spoke."""
    matrix: tuple[int, int]
    """(y, x) of the reconstruction."""

    @classmethod
    def of(cls, kspace: KSpace) -> Size:
        return cls(kspace.n_frames, kspace.n_coils, kspace.n_spokes, kspace.n_samples, kspace.matrix)

    @property
    def images(self) -> float:
        """Bytes of the series, complex64."""
        return 8.0 * self.n_frames * self.matrix[0] * self.matrix[1]

    @property
    def samples(self) -> float:
        """Bytes of the samples of all coils."""
        return 8.0 * self.n_frames * self.n_coils * self.n_spokes * self.n_samples

    @property
    def prepared(self) -> float:
        """Bytes of a prepared slice: samples, trajectory, density and coil maps."""
        return self.samples * (1 + 1.5 / self.n_coils) + self.images * self.n_coils / self.n_frames

    @property
    def preparation(self) -> float:
        """Peak of the host's memory while data of this size, as they were received, are prepared."""
        return _PREPARATION * self.samples


Need = Callable[[Size, Any], float]
"""Bytes that a method takes at its peak, beside the prepared slice, by its size and the method's options."""


def direct_need(size: Size, _options: Any = None) -> float:
    """Need of gridding: weighted samples, the images once more while they are put together, and plans."""
    return size.samples + 4 * size.images + _ALWAYS


def series_need(size: Size, options: Any = None) -> float:
    """Need of a method that iterates on a series: kernels on twice the matrix, iterates and their duals.

    What registered methods are taken to need unless they state it.
    """
    return direct_need(size, options) + 12 * size.images


@dataclass(frozen=True)
class MemoryLimits:
    """What a scan may take, bytes."""

    host: float = math.inf
    device: float = math.inf
    """Of the GPU."""

    @classmethod
    def of(cls, config: Config) -> MemoryLimits:
        """What the configuration allows or, where it does not say, most of what is free now."""
        free = _free_device_bytes(config)
        if config.max_gpu_gb is None or math.isinf(free):
            return cls(host_limit(config), _MARGIN * free)
        return cls(host_limit(config), config.max_gpu_gb * GB)

    def on(self, device: str) -> float:
        return self.host if device == "cpu" else self.device

    def beside(self, held: float) -> MemoryLimits:
        """What is left on the host beside so many bytes."""
        return replace(self, host=self.host - held)

    def check_held(self, held: float, n_frames: int) -> None:
        """Raise DataError where what is kept, most of it frames, takes more than the host may give."""
        if held > self.host:
            raise DataError(
                f"the scan has grown to {told(held)} in {n_frames} frames that wait for the method, readouts "
                "that wait for their frames included, and "
                f"{told(self.host)} of host memory are allowed (max_host_gb) or were free: make the scan "
                "shorter, split it, or set method to gridding, which keeps nothing"
            )


def coils_that_fit(need: Callable[[Size], float], size: Size, available: float) -> int:
    """Most virtual coils for which ``need`` is available.

    Raises
    ------
    BackendError
        If even the fewest coils that are worth it need more.
    """
    fewest = min(FEWEST_COILS, size.n_coils)
    for count in range(size.n_coils, fewest - 1, -1):
        least = need(replace(size, n_coils=count))
        if least <= available:
            return count
    raise BackendError(
        f"{fewest} virtual coils need {told(least)} more memory, {told(max(available, 0))} are left"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, NumPy's, CuPy's, Torch's or a CUDA library's."""
    is_runtime = isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)
    return is_runtime or isinstance(error, MemoryError)


def told(n_bytes: float) -> str:
    """For people."""
    return f"{n_bytes / GB:.1f} GB" if n_bytes >= GB / 10 else f"{n_bytes / 1e6:.0f} MB"


def host_limit(config: Config) -> float:
    """What a scan may take of the host's memory, bytes."""
    return _MARGIN * free_host_bytes() if config.max_host_gb is None else config.max_host_gb * GB


def free_host_bytes() -> float:
    """What this process can still take: of the machine, and of the control groups that it is in."""
    import psutil

    return min(float(psutil.virtual_memory().available), *_free_of_groups(), math.inf)


def _free_device_bytes(config: Config) -> float:
    """Free memory of the GPU; no limit where none will be used."""
    if config.device == "cpu":
        return math.inf
    import torch

    return float(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else math.inf


def _free_of_groups(
    mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> Iterator[float]:
    """Free memory of each control group above this process that has a limit, versions 1 and 2."""
    if sys.platform != "linux" or not membership.exists():
        return
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, used = mount, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, used = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base) and (folder / limit).exists():
                yield _free_of_group(folder, limit, used)


def _free_of_group(folder: Path, limit: str, used: str) -> float:
    most = (folder / limit).read_text().strip()
    if most == "max":
        return math.inf
    counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    # Files that were read are in the count, but make room when it is asked for.
    cached = int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))
    return float(most) - float((folder / used).read_text()) + cached
