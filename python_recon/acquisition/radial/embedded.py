"""Trajectories that the readouts carry themselves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np

from python_recon.data import Readout, Scan
from python_recon.errors import DataError, MissingTrajectoryError, ShapeError

logger = logging.getLogger(__name__)

_TOLERANCE = 1.6
"""Factor by which the largest radius may miss what a unit leads to expect."""


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
        auto, cycles_per_fov, normalised or per_mm.
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
    _check_third_dimension(raw)
    scale = _scale(np.linalg.norm(raw[:, :2], axis=1).max(), scan, unit, extent).astype(np.float32)

    def place(readout: Readout, number: int) -> np.ndarray:  # noqa: ARG001
        return _checked(readout)[:, :2].astype(np.float32) * scale

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


def _check_third_dimension(raw: np.ndarray) -> None:
    if raw.shape[1] == 2:
        return
    radius, third = np.linalg.norm(raw[:, :2], axis=1), raw[:, 2]
    if np.ptp(third) == 0:
        return
    if third.min() >= 0 and np.corrcoef(radius, third)[0, 1] > 0.5:
        logger.info("the third dimension of the embedded trajectory is taken to be a density")
        return
    raise DataError(
        "the embedded trajectory is three-dimensional (the third is neither constant nor a density); "
        "two-dimensional radial data are expected"
    )


def _scale(radius: float, scan: Scan, unit: str, extent: tuple[float, float]) -> np.ndarray:
    scales = _scales(scan, extent)
    if unit != "auto":
        if unit not in scales:
            raise DataError(f"trajectory.unit is {unit!r} but the header gives no field of view")
        scales = {unit: scales[unit]}
    if radius <= 0:
        raise DataError("the embedded trajectory is zero: set trajectory.source to another source")
    misfits = {name: abs(math.log(radius * scale[0] / (extent[0] / 2))) for name, scale in scales.items()}
    best = min(misfits, key=lambda name: misfits[name])
    if misfits[best] > math.log(_TOLERANCE):
        expected = ", ".join(f"{extent[0] / 2 / scale[0]:.4g} ({name})" for name, scale in scales.items())
        raise DataError(
            f"the embedded trajectory reaches a radius of {radius:.4g}; expected is about {expected}: "
            "set trajectory.unit, or correct the trajectory or the header's matrix"
        )
    logger.info("embedded trajectory: largest radius %.4g, unit %s", radius, best)
    return scales[best]


def _scales(scan: Scan, extent: tuple[float, float]) -> dict[str, np.ndarray]:
    """Factors (kx, ky) from each unit to cycles per field of view, the likelier unit first."""
    scales = {"normalised": np.array(extent), "cycles_per_fov": np.ones(2)}
    fov, encoded_fov = np.array(scan.field_of_view_mm[:2]), np.array(scan.encoded_field_of_view_mm[:2])
    if fov.min() > 0:
        scales["per_mm"] = fov
        if encoded_fov.min() > 0 and not np.allclose(fov, encoded_fov, rtol=0.01):
            scales["cycles per encoded field of view"] = fov / encoded_fov
    return scales
