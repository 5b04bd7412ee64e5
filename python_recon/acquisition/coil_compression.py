"""Fewer, virtual coils by principal components."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from python_recon.arrays import Array, like, to_numpy
from python_recon.config import CoilConfig
from python_recon.data import CoilMaps, KSpace

_MANY = 48
"""Coils up to which all components are computed."""
_SPARE, _POWER_ITERATIONS = 8, 2
"""Components beyond those that are wanted, and iterations, that make the strongest ones accurate."""
logger = logging.getLogger(__name__)


def compress(kspace: KSpace, config: CoilConfig) -> KSpace:
    """The k-space of the strongest virtual coils, on the device it came from.

    The number is ``config.virtual``, or as many as keep ``config.energy`` of the energy, at most
    ``config.maximum``. White noise stays white. Data of no more coils than that are returned as they are.

    Buehrer et al., doi 10.1002/mrm.21237; Zhang et al., doi 10.1002/mrm.24267 (the single matrix for all
    samples that is used here is what they compare with).
    """
    matrix = compression_matrix(kspace, config)
    if len(matrix) == kspace.n_coils:
        return kspace
    return apply_compression(kspace, matrix)


def compress_with_maps(kspace: KSpace, maps: CoilMaps, config: CoilConfig) -> tuple[KSpace, CoilMaps]:
    """The same with coil maps (NumPy) that came with the k-space: those of the virtual coils."""
    matrix = compression_matrix(kspace, config)
    if len(matrix) == kspace.n_coils:
        return kspace, maps
    virtual = CoilMaps.normalised(np.tensordot(matrix, maps.maps, 1), maps.source)
    return apply_compression(kspace, matrix), virtual


def reduce_many(kspace: KSpace, config: CoilConfig) -> KSpace:
    """Where coils are many, twice as many as :func:`compress` may leave: later work grows with them."""
    wanted = 2 * (config.virtual or config.maximum)
    if kspace.n_coils <= max(_MANY, wanted):
        return kspace
    return compress(kspace, config.model_copy(update={"virtual": wanted}))


def compression_matrix(kspace: KSpace, config: CoilConfig) -> np.ndarray:
    """Matrix (virtual coil, coil) complex64 with orthonormal rows, the strongest virtual coil first."""
    samples = kspace.data.reshape(kspace.n_frames, kspace.n_coils, -1)
    rank = (config.virtual or config.maximum) + _SPARE
    if kspace.n_coils > max(_MANY, rank):
        energies, vectors, total = _leading_components(to_numpy(samples), rank)
    else:
        energies, vectors = _components((samples @ samples.conj().swapaxes(-1, -2)).sum(0))
        total = float(energies.sum())
    n_virtual = _n_virtual(energies, total, config)
    logger.info(
        "%d coils compressed to %d, with %.2f %% of the energy",
        kspace.n_coils,
        n_virtual,
        100 * energies[:n_virtual].sum() / max(total, np.finfo(float).tiny),
    )
    # An eigenvector has no phase of its own: fixing it makes runs repeatable.
    strongest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0)
    matrix = (vectors / (strongest / np.abs(strongest))).conj().T[:n_virtual]
    return np.ascontiguousarray(matrix, np.complex64)


def apply_compression(kspace: KSpace, matrix: np.ndarray) -> KSpace:
    """The k-space of the virtual coils of a matrix (virtual coil, coil)."""
    data = kspace.data
    samples = like(matrix, data) @ data.reshape(kspace.n_frames, kspace.n_coils, -1)
    calibration = None if kspace.calibration is None else apply_compression(kspace.calibration, matrix)
    compressed = samples.reshape(kspace.n_frames, len(matrix), *data.shape[2:])
    return replace(kspace, data=compressed, calibration=calibration)


def _components(products: Array) -> tuple[np.ndarray, np.ndarray]:
    """Energies, falling, and eigenvectors (in columns) of a Hermitian matrix."""
    energies, vectors = np.linalg.eigh(to_numpy(products).astype(np.complex128))
    return energies[::-1].clip(min=0), vectors[:, ::-1]


def _leading_components(samples: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The strongest components (energies, vectors) of samples (frame, coil, sample), and the energy of all.

    Subspace iteration from random vectors: work grows with the coils, not with their square or cube. Halko,
    Martinsson, Tropp, doi 10.1137/090771806.
    """
    rng = np.random.default_rng(0)
    shape = (samples.shape[1], rank)
    basis = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(samples.dtype)
    for _ in range(_POWER_ITERATIONS):
        conjugate = basis.conj()  # of the small factor: the samples are not copied
        image = sum(frame @ (frame.T @ conjugate).conj() for frame in samples)
        basis = np.linalg.qr(image)[0].astype(samples.dtype)
    projected = [basis.conj().T @ frame for frame in samples]
    energies, vectors = _components(sum(part @ part.conj().T for part in projected))
    total = sum(float(np.vdot(frame, frame).real) for frame in samples)
    return energies, basis @ vectors, total


def _n_virtual(energies: np.ndarray, total: float, config: CoilConfig) -> int:
    if config.virtual is not None:
        return min(config.virtual, len(energies))
    kept = np.cumsum(energies)
    enough = int(np.searchsorted(kept, config.energy * total)) + 1
    return min(enough, config.maximum, len(energies))
