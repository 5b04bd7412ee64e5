"""Fewer, virtual coils by principal components."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from python_recon.arrays import like, to_numpy
from python_recon.config import CoilConfig
from python_recon.data import CoilMaps, KSpace

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


def compression_matrix(kspace: KSpace, config: CoilConfig) -> np.ndarray:
    """Matrix (virtual coil, coil) complex64 with orthonormal rows, the strongest virtual coil first."""
    samples = kspace.data.reshape(kspace.n_frames, kspace.n_coils, -1)
    products = (samples @ samples.conj().swapaxes(-1, -2)).sum(0)
    energies, vectors = np.linalg.eigh(to_numpy(products).astype(np.complex128))
    energies, vectors = energies[::-1].clip(min=0), vectors[:, ::-1]
    n_virtual = _n_virtual(energies, config)
    logger.info(
        "%d coils compressed to %d, with %.2f %% of the energy",
        len(energies),
        n_virtual,
        100 * energies[:n_virtual].sum() / max(energies.sum(), np.finfo(float).tiny),
    )
    # An eigenvector has no phase of its own: fixing it makes runs repeatable.
    strongest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0)
    matrix = (vectors / (strongest / np.abs(strongest))).conj().T[:n_virtual]
    return np.ascontiguousarray(matrix, np.complex64)


def apply_compression(kspace: KSpace, matrix: np.ndarray) -> KSpace:
    """The k-space of the virtual coils of a matrix (virtual coil, coil)."""
    data = kspace.data
    samples = like(matrix, data) @ data.reshape(kspace.n_frames, kspace.n_coils, -1)
    return replace(kspace, data=samples.reshape(kspace.n_frames, len(matrix), *data.shape[2:]))


def _n_virtual(energies: np.ndarray, config: CoilConfig) -> int:
    if config.virtual is not None:
        return min(config.virtual, len(energies))
    kept = np.cumsum(energies)
    enough = int(np.searchsorted(kept, config.energy * kept[-1])) + 1
    return min(enough, config.maximum, len(energies))
