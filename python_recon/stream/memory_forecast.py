"""What a scan will need of memory, by its header, before data arrive."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from python_recon.acquisition.encoding import is_grid
from python_recon.config import BinningConfig, Config
from python_recon.data import Scan
from python_recon.errors import BackendError, DataError
from python_recon.methods.registry import resolve
from python_recon.resources.memory import MemoryLimits, Size, coils_that_fit, told

_SPOKES = 34
"""Of a frame, where neither configuration nor header tells."""
_OVERSAMPLING = 2
"""Of radial readouts, as a rule."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forecast:
    """What a scan is expected to be. What the header does not announce is taken at its least."""

    size: Size
    """Of a slice, as it is received."""
    n_slices: int
    """Contrasts and sets included."""
    virtual_coils: int
    method: str
    need: Callable[[Size], float]
    """Of the method, for a prepared slice."""

    @property
    def held(self) -> float:
        """Bytes of all slices, as they are received."""
        return self.n_slices * self.size.samples

    def check(self, limits: MemoryLimits) -> None:
        """Compare with what there is, and warn where it suffices for fewer virtual coils only.

        Raises
        ------
        DataError
            If it does not suffice at all.
        """
        host = limits.host - self.held
        if self.size.preparation > host:
            raise self._refusal(self.held + self.size.preparation, limits.host, "host memory", "max_host_gb")
        size = replace(self.size, n_coils=self.virtual_coils)
        is_on_gpu = math.isfinite(limits.device)
        try:
            count = coils_that_fit(self._peak, size, limits.device if is_on_gpu else host)
        except BackendError:
            least = self._peak(replace(size, n_coils=1))
            if is_on_gpu:
                raise self._refusal(least, limits.device, "GPU memory", "max_gpu_gb") from None
            raise self._refusal(self.held + least, limits.host, "host memory", "max_host_gb") from None
        if count < self.virtual_coils:
            _log.warning("the memory is expected to suffice for %d virtual coils only", count)

    def _peak(self, size: Size) -> float:
        return size.prepared + self.need(size)

    def _refusal(self, need: float, limit: float, place: str, setting: str) -> DataError:
        size = self.size
        scan = (
            f"{self.n_slices} slices of {size.n_frames} frames of {size.n_spokes} spokes, {size.n_coils} "
            f"coils, matrix {size.matrix[1]} x {size.matrix[0]}"
        )
        return DataError(
            f"the scan that the header announces ({scan}) needs at least {told(need)} of {place} for "
            f"{self.method}, and {told(limit)} are allowed or free: measure fewer slices or frames, set a "
            f"smaller matrix or method gridding, or raise {setting}"
        )


def forecast(scan: Scan, config: Config, matrix: tuple[int, int]) -> Forecast:
    """What the header and the configuration tell of a scan; ``matrix`` is that of its images."""
    method, options = resolve(config.method, config.options)
    is_lines = is_grid(scan, config.trajectory) and config.binning.spokes_per_frame is None
    n_frames, n_spokes = _frames_of_lines(scan) if is_lines else _frames(scan, config.binning)
    n_coils, wide = scan.n_coils or 1, config.field_of_view_scale or 1.0
    size = Size(
        n_frames=n_frames,
        n_coils=n_coils,
        n_spokes=n_spokes,
        n_samples=_OVERSAMPLING * matrix[1],
        matrix=(round(wide * matrix[0]), round(wide * matrix[1])),
    )
    return Forecast(
        size=size,
        n_slices=math.prod(_count(scan, name) for name in ("slice", "contrast", "set")),
        virtual_coils=min(config.coils.virtual or config.coils.maximum, n_coils),
        method=config.method,
        need=lambda prepared: method.memory(prepared, options),
    )


def _frames_of_lines(scan: Scan) -> tuple[int, int]:
    """Frames of a slice of a Cartesian scan, and lines of a frame."""
    return _count(scan, "repetition") * _count(scan, "phase"), _count(scan, "kspace_encode_step_1")


def _frames(scan: Scan, binning: BinningConfig) -> tuple[int, int]:
    """Frames of a slice and spokes of a frame."""
    spokes, repetitions, phases = (
        _count(scan, name) for name in ("kspace_encode_step_1", "repetition", "phase")
    )
    total = spokes * repetitions * phases
    if binning.by == "cardiac":
        return binning.cardiac_phases, math.ceil(total / binning.cardiac_phases)
    by_header = binning.by == "auto" and binning.spokes_per_frame is None
    if phases > 1 and (by_header or binning.by == "phase"):
        return phases, math.ceil(total / phases)
    length = binning.spokes_per_frame or _SPOKES
    if repetitions > 1 and (by_header or binning.by == "repetition"):
        return repetitions, spokes if spokes > 1 else length
    return max((total - length) // (binning.step or length) + 1, 1), length


def _count(scan: Scan, counter: str) -> int:
    return scan.limits.get(counter, 0) + 1
