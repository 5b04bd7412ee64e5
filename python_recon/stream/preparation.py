"""A slice made ready for a method, within its time.

Every step that may take long has a cheaper form, which takes its place where it would take more than its
share of the time that is left; what was done so is told. Whether it would is foreseen from what other steps
took on the same data a moment ago, on this machine and beside whatever else runs on it.

============== ============================== =========================================
step           takes about                    cheaper form
============== ============================== =========================================
compression    square of the coils            many coils: a few first, by random vectors
delays         6 looks at the field of view   none are looked for
density        a NUFFT an iteration           fewer iterations
coil maps      20 maps of low resolution      those
============== ============================== =========================================
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from python_recon.acquisition.coil_compression import compress, compress_with_maps, reduce_many
from python_recon.acquisition.encoding import encoding_of
from python_recon.acquisition.noise_level import with_noise
from python_recon.acquisition.optional import attempt
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError
from python_recon.operators.density import fill_density
from python_recon.resources.memory import MemoryLimits, Size, is_out_of_memory, told
from python_recon.resources.scan_context import timed
from python_recon.resources.schedule import AMPLE_S, Budget
from python_recon.resources.usage import give_memory_back

_SHARE = 0.25
"""Of the time that is left, for one step."""
_DELAYS = 6.0
"""Time of the delays, in looks at the field of view."""
_MAPS: Mapping[str, float] = {"low_resolution": 1.0, "walsh": 5.0, "espirit": 20.0, "nlinv": 20.0}
"""Time of coil maps by each estimator, in those of low resolution."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What a method runs on."""

    kspace: KSpace
    """On the device, whitened, compressed, its density filled in."""
    maps: CoilMaps
    details: Mapping[str, Any]
    """What is worth keeping of how it came about."""
    comment: str = ""
    """What a reader of the images should know of it."""


def prepare(kspace: KSpace, config: Config, budget: Budget, given: CoilMaps | None = None) -> Prepared:
    """A slice ready for a method.

    Delays are corrected, the field of view is made as wide as the object (``narrow`` cuts the images),
    coils are compressed, density and maps computed. Coil maps that are given (NumPy) are taken, and with them
    the field of view that they cover.

    Raises
    ------
    BackendError
        If the host's memory is too small for it. Where the GPU's is, the CPU takes its place.
    """
    _check_memory(kspace, budget.memory)
    try:
        return _prepared(kspace, config, budget, given)
    except (MemoryError, RuntimeError) as error:
        if config.device == "cpu" or not is_out_of_memory(error):
            raise
        _log.warning("the slice is prepared on the CPU: %s", str(error))
    give_memory_back()
    prepared = _prepared(kspace, config.model_copy(update={"device": "cpu"}), budget, given)
    comment = "the GPU has too little memory for the slice: done on the CPU"
    return replace(prepared, comment="; ".join(filter(None, [comment, prepared.comment])))


def _check_memory(kspace: KSpace, limits: MemoryLimits) -> None:
    need = Size.of(kspace).preparation
    if need > limits.host:
        raise BackendError(
            f"to prepare the slice takes {told(need)} of host memory, {told(max(limits.host, 0))} are left; "
            "raise max_host_gb or measure fewer slices or frames"
        )


def _prepared(kspace: KSpace, config: Config, budget: Budget, given: CoilMaps | None) -> Prepared:
    started, matrix = time.monotonic(), kspace.matrix
    with timed("preparation"):
        kspace, given, comment = _prepare_kspace(kspace, config, budget, given)
    prepared = time.monotonic()
    with timed("coil maps"):
        maps = given or _maps(kspace, config, budget)
    details = {
        "seconds_preparation": prepared - started,
        "seconds_coil_maps": time.monotonic() - prepared,
        "coil_maps": maps.source,
        "field_of_view_scale": kspace.matrix[0] / matrix[0],
    }
    return Prepared(kspace, maps, details, comment)


def _prepare_kspace(
    kspace: KSpace, config: Config, budget: Budget, maps: CoilMaps | None
) -> tuple[KSpace, CoilMaps | None, str]:
    """k-space and maps that were given, on the device, and what was left out for want of time."""
    from python_recon.resources.device import set_up

    device, comment = set_up(config), ""
    before = time.monotonic()
    if maps is None:
        kspace = reduce_many(kspace, config.coils)
        kspace = attempt("the field of view", lambda given: _widened(given, config), kspace)
    if _has_room(budget, _DELAYS * (time.monotonic() - before)):
        delays = config.trajectory.correct_delay
        kspace = attempt("gradient delays", lambda given: encoding_of(given).undelayed(given, delays), kspace)
    elif config.trajectory.correct_delay != "off":
        comment = "gradient delays were not looked for: there was no time"
    if maps is None:
        kspace = compress(kspace, config.coils)
    else:
        kspace, maps = compress_with_maps(kspace, maps, config.coils)
        maps = maps.to_torch(device)
    kspace = with_noise(kspace)
    if kspace.density is None:
        kspace = fill_density(kspace, config.density, budget.share(_SHARE))
    return kspace.to_torch(device), maps, comment


def _widened(kspace: KSpace, config: Config) -> KSpace:
    return encoding_of(kspace).widened(kspace, config.field_of_view_scale)


def _maps(kspace: KSpace, config: Config, budget: Budget) -> CoilMaps:
    """Coil maps, of low resolution where there is no time for others."""
    if budget.left_s > AMPLE_S:
        return estimate(kspace, config.coils)
    before = time.monotonic()
    rough = estimate(kspace, config.coils.model_copy(update={"maps": "low_resolution"}))
    if _has_room(budget, _MAPS[config.coils.maps] * (time.monotonic() - before)):
        return estimate(kspace, config.coils)
    comment = f"there was no time for coil maps by {config.coils.maps!r}: they are of low resolution"
    # A fit that was given up, since its slice came back, has no time either; nobody sees its images.
    _log.log(logging.INFO if budget.is_spent else logging.WARNING, comment)
    return replace(rough, comment="; ".join(filter(None, [comment, rough.comment])))


def _has_room(budget: Budget, seconds: float) -> bool:
    """Whether a step that takes so long leaves enough for those after it."""
    return budget.left_s > AMPLE_S or seconds <= _SHARE * budget.left_s
