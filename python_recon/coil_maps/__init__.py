"""Coil maps from the undersampled, time-averaged data.

Every estimator sees the spokes of all frames as one radial acquisition of low resolution, and returns maps
on the full matrix with unit root-sum-of-squares at every pixel: outside the object they are continued from
within it, not set to zero. A coil without signal gets a zero map. Where an estimator fails, the one of low
resolution takes its place.

============== ======================================================= =================================
low_resolution windowed coil images over their root-sum-of-squares     for the first preview
walsh          principal component of the local coil covariance        doi:10.1002/(SICI)1522-2594(200005)43:5<682::AID-MRM10>3.0.CO;2-G
espirit        eigenvectors of the calibration matrix's signal space    doi:10.1002/mrm.24751
nlinv          image and maps jointly, regularised nonlinear inversion  doi:10.1002/mrm.21691
============== ======================================================= =================================
"""  # noqa: E501

from __future__ import annotations

import importlib
import logging
from dataclasses import replace

import numpy as np

from python_recon.arrays import is_torch, to_numpy
from python_recon.config import CoilConfig
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError

_SIMPLEST = "low_resolution"
"""Has nothing to converge or to decompose."""
_log = logging.getLogger(__name__)


def estimate(kspace: KSpace, config: CoilConfig) -> CoilMaps:
    """Coil maps of a slice by the estimator that ``config.maps`` names.

    Parameters
    ----------
    kspace
        One or many frames, NumPy arrays or Torch tensors; the density is not used.
    config
        The estimator and the width of its calibration region.

    Returns
    -------
        Maps (coil, y, x) of the same library and on the same device as the k-space; their comment tells
        where another estimator made them.

    Raises
    ------
    DataError
        If no spoke holds a signal within the calibration region, or not even maps of low resolution are
        finite.
    """
    import torch

    try:
        return _by(config.maps, kspace, config.calibration_width)
    except (ArithmeticError, np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        told = f"coil maps by {config.maps!r} failed ({error})"
    if config.maps == _SIMPLEST:
        raise DataError(f"{told}; look at the data for readouts that are damaged")
    _log.warning("%s: they are of low resolution", told)
    simplest = config.model_copy(update={"maps": _SIMPLEST})
    return replace(estimate(kspace, simplest), comment=f"{told}: they are of low resolution")


def _by(name: str, kspace: KSpace, width: int | None) -> CoilMaps:
    """Maps by one estimator; raises FloatingPointError where they are not finite."""
    import torch

    from python_recon.coil_maps.calibration import calibrate

    estimator = importlib.import_module(f"python_recon.coil_maps.{name}")
    calibration = calibrate(kspace, estimator.REGION, width)
    if kspace.n_coils == 1:
        maps = torch.ones(1, *kspace.matrix).to(calibration.samples)
    else:
        with torch.no_grad():
            maps = estimator.maps(calibration, kspace.matrix)
    if not maps.sum().isfinite():
        raise FloatingPointError("they are not finite")
    silent = calibration.silent_coils()
    if silent:
        _log.warning("coils %s hold no signal, their maps are zero", silent)
        maps[silent] = 0
    return CoilMaps(maps if is_torch(kspace.data) else to_numpy(maps), name)
