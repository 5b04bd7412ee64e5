"""Density compensation: the area of k-space, (cycles/FOV)^2, that each sample stands for."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from python_recon.acquisition.encoding import encoding_of
from python_recon.arrays import Array, like, to_numpy
from python_recon.config import DensityConfig
from python_recon.data import KSpace
from python_recon.operators.nufft import Nufft
from python_recon.resources.schedule import Budget

_log = logging.getLogger(__name__)


def fill_density(kspace: KSpace, config: DensityConfig, budget: Budget | None = None) -> KSpace:
    """The k-space with its density filled in, on the device it came from.

    A budget that is spent ends the iterations early.
    """
    density = encoding_of(kspace).analytic_density(kspace)
    if config.method == "ramp" and density is not None:
        return replace(kspace, density=density)
    return replace(kspace, density=iterative_density(kspace, config.iterations, budget))


def iterative_density(kspace: KSpace, iterations: int, budget: Budget | None = None) -> Array:
    """Density (frame, spoke, readout) for which the weighted samples blur to 1 everywhere.

    Repeats w <- w / (C * w), C being the point-spread kernel over twice the field of view, tapered so that
    it has no negative lobes (Pipe and Menon,
    doi 10.1002/(SICI)1522-2594(199901)41:1<179::AID-MRM25>3.0.CO;2-V). Starts from what the
    encoding says, and keeps its zeros.
    """
    density = encoding_of(kspace).analytic_density(kspace)
    if density is None:
        density = _even(kspace)
    matrix = (2 * kspace.matrix[0], 2 * kspace.matrix[1])
    # On a matrix and a field of view of twice the size every k counts twice as many cycles.
    nufft = Nufft(2 * kspace.trajectory, matrix)
    taper = like(_autocorrelated_disc(matrix), density)
    # Four times the area, so that a sample of a full Cartesian grid gets weight 1.
    scale = 4.0
    for done in range(iterations):
        if budget is not None and budget.is_spent:
            _log.warning("the density had time for %d of %d iterations", done, iterations)
            break
        blurred = nufft.forward(taper * nufft.adjoint(density[:, None] + 0j))[:, 0].real * scale
        density = density / blurred.clip(min=1e-6)
    return density


def _even(kspace: KSpace) -> Array:
    """(frame, spoke, readout) ones, 0 where nothing was measured."""
    is_there = np.abs(to_numpy(kspace.data)).any(1).astype(np.float32)
    return like(is_there, kspace.trajectory)


def _autocorrelated_disc(matrix: tuple[int, int]) -> np.ndarray:
    """Taper (y, x) whose transform is the squared transform of an ellipse of half the matrix; 1 at 0."""
    y, x = (((np.arange(n) - n // 2) / (n / 2)) for n in matrix)
    distance = np.minimum(np.hypot(y[:, None], x), 1.0)
    overlap = 2 / np.pi * (np.arccos(distance) - distance * np.sqrt(1 - distance**2))
    taper: np.ndarray = overlap.astype(np.float32)
    return taper
