"""Trajectories that the readouts carry themselves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from python_recon.data import Readout, Scan
from python_recon.errors import DataError, MissingTrajectoryError, ShapeError

logger = logging.getLogger(__name__)

_TOLERANCE = 1.6
"""Factor by which the largest radius may miss what a unit leads to expect."""
_EXACT = 1.05
"""The same for a unit that is seldom used, and is taken only where none of the usual fits as well."""
_FLAT = 0.01
"""Variation of a third dimension, relative to the radius, that is rounding."""


def embedded_locator(
    head: Sequence[Readout], scan: Scan, unit: str, extent: tuple[float, float]
) -> Callable[[Readout, int], np.ndarray]:
    """Scale embedded trajectories to cycles per field of view.

    Parameters
    ----------
    head
        The first readouts; the unit is told from their largest radius.
    scan
        The header, for the fields of view.
    unit
        auto, or one of :class:`~python_recon.config.TrajectoryConfig`.
    extent
        Diameter (kx, ky) of k-space in cycles per field of view.

    Raises
    ------
    DataError
        If the radius fits no unit, or the trajectory is three-dimensional.
    MissingTrajectoryError, ShapeError
        Later, for a readout without a trajectory or with one of another length.
    """
    raw = np.concatenate([_checked(readout) for readout in head], dtype=np.float64)
    height = _height(raw)
    scale = _scale(np.linalg.norm(raw[:, :2], axis=1).max(), scan, unit, extent).astype(np.float32)

    def place(readout: Readout, number: int) -> np.ndarray:  # noqa: ARG001
        own = _checked(readout)
        if height is not None and own.shape[1] == 3:
            height.check(own, readout)
        return own[:, :2].astype(np.float32) * scale

    return place


def _checked(readout: Readout) -> np.ndarray:
    raw = readout.raw_trajectory
    if raw is None:
        raise MissingTrajectoryError(
            f"readout {readout.scan_counter} carries no trajectory while others of the scan do: set "
            "trajectory.source to the source that holds for all"
        )
    if raw.ndim != 2 or len(raw) != readout.n_samples:
        raise ShapeError(
            f"readout {readout.scan_counter} has a trajectory of shape {raw.shape} for {readout.n_samples} "
            "samples; has a gadget upstream (RemoveROOversampling) cropped the data but not the trajectory?"
        )
    if raw.shape[1] not in (2, 3):
        raise DataError(
            f"the embedded trajectory has {raw.shape[1]} dimensions; 2 are expected, or 3 with a density"
        )
    return raw


@dataclass(frozen=True)
class _Height:
    """Where the plane of all spokes lies along the third dimension."""

    value: float
    tolerance: float

    def check(self, raw: np.ndarray, readout: Readout) -> None:
        if np.abs(raw[:, 2] - self.value).max() > self.tolerance:
            raise DataError(
                f"the embedded trajectory is three-dimensional: readout {readout.scan_counter} lies at "
                f"{raw[:, 2].mean():.4g} along the third dimension, those before it at {self.value:.4g}; "
                "two-dimensional radial data are expected, or a stack of stars whose header announces its "
                "partitions (limits of kspace_encoding_step_2)"
            )


def _height(raw: np.ndarray) -> _Height | None:
    """The plane of the first spokes; None where the third dimension is a density, or there is none."""
    if raw.shape[1] == 2:
        return None
    radius, third = np.linalg.norm(raw[:, :2], axis=1), raw[:, 2]
    tolerance = _FLAT * float(radius.max())
    if np.ptp(third) <= tolerance:
        return _Height(float(np.median(third)), tolerance)
    if third.min() >= 0 and np.corrcoef(radius, third)[0, 1] > 0.5:
        logger.info("the third dimension of the embedded trajectory is taken to be a density")
        return None
    raise DataError(
        "the embedded trajectory is three-dimensional (the third is neither constant nor a density); "
        "two-dimensional radial data are expected"
    )


def _scale(radius: float, scan: Scan, unit: str, extent: tuple[float, float]) -> np.ndarray:
    usual, seldom = _usual_scales(scan, extent), _seldom_scales(scan, extent)
    if radius <= 0:
        raise DataError("the embedded trajectory is zero: set trajectory.source to another source")
    if unit != "auto":
        if unit not in {**usual, **seldom}:
            raise DataError(f"trajectory.unit is {unit!r} but the header gives no field of view")
        usual, seldom = {unit: {**usual, **seldom}[unit]}, {}
    best, misfit = _best(usual, radius, extent)
    other, other_misfit = _best(seldom, radius, extent) if seldom else (best, misfit)
    if other_misfit <= _EXACT < misfit:
        logger.warning(
            "embedded trajectory: largest radius %.4g, taken to be in the unit %s; set trajectory.unit if it "
            "is in another",
            radius,
            other,
        )
        return seldom[other]
    if misfit > _TOLERANCE:
        scales = {**usual, **seldom}
        expected = ", ".join(f"{extent[0] / 2 / scale[0]:.4g} ({name})" for name, scale in scales.items())
        raise DataError(
            f"the embedded trajectory reaches a radius of {radius:.4g}; expected is about {expected}: "
            "set trajectory.unit, or correct the trajectory or the header's matrix"
        )
    logger.info("embedded trajectory: largest radius %.4g, unit %s", radius, best)
    return usual[best]


def _best(scales: Mapping[str, np.ndarray], radius: float, extent: tuple[float, float]) -> tuple[str, float]:
    """The unit in which the radius fits the extent best, and the factor by which it misses."""
    misfits = {name: abs(math.log(radius * scale[0] / (extent[0] / 2))) for name, scale in scales.items()}
    best = min(misfits, key=lambda name: misfits[name])
    return best, math.exp(misfits[best])


def _usual_scales(scan: Scan, extent: tuple[float, float]) -> dict[str, np.ndarray]:
    """Factors (kx, ky) from each unit to cycles per field of view, the likelier unit first."""
    scales = {"normalised": np.array(extent), "cycles_per_fov": np.ones(2)}
    fov, encoded_fov = np.array(scan.field_of_view_mm[:2]), np.array(scan.encoded_field_of_view_mm[:2])
    if fov.min() > 0:
        scales["per_mm"] = fov
        if encoded_fov.min() > 0 and not np.allclose(fov, encoded_fov, rtol=0.01):
            scales["cycles_per_encoded_fov"] = fov / encoded_fov
    return scales


def _seldom_scales(scan: Scan, extent: tuple[float, float]) -> dict[str, np.ndarray]:
    scales = {"normalised_to_1": np.array(extent) / 2, "normalised_to_pi": np.array(extent) / (2 * math.pi)}
    fov = np.array(scan.field_of_view_mm[:2])
    if fov.min() > 0:
        scales |= {"per_m": fov / 1e3, "rad_per_m": fov / (2e3 * math.pi), "rad_per_mm": fov / (2 * math.pi)}
    return scales
