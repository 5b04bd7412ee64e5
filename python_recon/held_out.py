"""Spokes kept and spokes held out: undersampling after the fact, and an error that needs no truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.arrays import to_numpy
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError


def middle_spokes(kspace: KSpace, n_spokes: int) -> np.ndarray:
    """Which spokes to keep so that every frame has ``n_spokes``: (frame, spoke) bool.

    The kept spokes are consecutive and the middle ones of the frame: golden-angle order stays what a scan
    with shorter frames would have had, and the frame stays at its time. Borrowed spokes are not kept.

    Raises
    ------
    DataError
        If no frame has as many spokes of its own.
    """
    own = own_spokes(kspace)
    if n_spokes > own.sum(axis=1).max(initial=0):
        raise DataError(
            f"{n_spokes} spokes a frame are asked for, but the frames have {own.sum(axis=1).max(initial=0)} "
            "of their own: ask for fewer"
        )
    position = np.cumsum(own, axis=1) - 1
    start = np.maximum(0, own.sum(axis=1, keepdims=True) - n_spokes) // 2
    kept: np.ndarray = own & (position >= start) & (position < start + n_spokes)
    return kept


def every_kth_spoke(kspace: KSpace, k: int) -> np.ndarray:
    """Every k-th spoke in the order of acquisition, in every frame that holds it: (frame, spoke) bool.

    With k larger than 1 and not a divisor of the spokes per frame, all frames give spokes and the positions
    wander through the frame.
    """
    number = spoke_numbers(kspace)
    held: np.ndarray = (number >= 0) & (number % k == k // 2)
    return held


def own_spokes(kspace: KSpace) -> np.ndarray:
    """(frame, spoke) bool: measured, and in this frame's own time."""
    own = np.ones(kspace.data.shape[::2][:2], dtype=bool)
    if kspace.spoke_mask is not None:
        own &= to_numpy(kspace.spoke_mask)
    if kspace.is_shared is not None:
        own &= ~to_numpy(kspace.is_shared)
    return own


def spoke_numbers(kspace: KSpace) -> np.ndarray:
    """Running number of the measured spokes, (frame, spoke) int; -1 for padding.

    Sliding windows and view sharing put one spoke into several frames: it is known by its samples and has
    the same number everywhere, so that a spoke that is held out is held out of all frames.
    """
    data = np.asarray(kspace.data)
    n_frames, _, n_spokes, n_samples = data.shape
    mask = np.ones((n_frames, n_spokes), bool) if kspace.spoke_mask is None else np.asarray(kspace.spoke_mask)
    samples = np.ascontiguousarray(data[:, 0].reshape(-1, n_samples)[mask.ravel()])
    as_bytes = samples.view(np.dtype((np.void, samples.dtype.itemsize * n_samples))).ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=int)
    rank[np.argsort(first)] = np.arange(len(first))
    numbers = np.full((n_frames, n_spokes), -1)
    numbers[mask] = rank[inverse.ravel()]
    return numbers


def select(kspace: KSpace, keep: np.ndarray) -> KSpace:
    """The k-space of some of its spokes; frames with fewer than the others are padded.

    Parameters
    ----------
    keep
        (frame, spoke) bool.

    Raises
    ------
    DataError
        If nothing is kept.
    """
    width = int(keep.sum(axis=1).max(initial=0))
    if width == 0:
        raise DataError("no spoke is left in any frame")
    order = np.argsort(~keep, axis=1, kind="stable")[:, :width]
    mask = np.take_along_axis(keep, order, axis=1)

    def gather(array: np.ndarray | None) -> np.ndarray | None:
        if array is None:
            return None
        index = order.reshape(*order.shape, *(1,) * (array.ndim - 2))
        return np.take_along_axis(np.asarray(array), index, axis=1)

    data = np.take_along_axis(np.asarray(kspace.data), order[:, None, :, None], axis=2)
    return replace(
        kspace,
        data=np.where(mask[:, None, :, None], data, np.zeros((), data.dtype)),
        trajectory=gather(kspace.trajectory),
        density=None,
        spoke_mask=mask,
        is_shared=gather(kspace.is_shared),
        spoke_times_s=gather(kspace.spoke_times_s),
    )


def prediction_error(images: np.ndarray, maps: CoilMaps, held_out: KSpace) -> float:
    """How badly images predict spokes that they were not made from; 0 is best, 1 is what no image gives.

    The relative L2 error of all coils' samples, each weighted by the area of k-space it stands for (its
    radius), or the few samples at the centre would decide alone. The images may be off by one complex
    factor for the series, which is fitted. Noise sets a floor that is the same for all methods.

    Parameters
    ----------
    images
        (frame, y, x) complex, in the frames of ``held_out``.
    maps
        The maps that the images were made with.
    held_out
        k-space in the same coils as the maps.
    """
    from python_recon.operators.nufft import Nufft

    trajectory = np.asarray(held_out.trajectory, dtype=np.float32)
    coil_images = (images[:, None] * np.asarray(maps.maps)).astype(np.complex64)
    predicted = Nufft(trajectory, held_out.matrix).forward(coil_images)
    radius = np.linalg.norm(trajectory, axis=-1)
    weight = (radius * own_spokes(held_out)[..., None])[:, None]
    measured = np.asarray(held_out.data)
    energy = (weight * np.abs(predicted) ** 2).sum(dtype=np.float64)
    factor = (weight * predicted.conj() * measured).sum(dtype=np.complex128) / energy if energy else 0.0
    error = (weight * np.abs(measured - factor * predicted) ** 2).sum(dtype=np.float64)
    return float(np.sqrt(error / (weight * np.abs(measured) ** 2).sum(dtype=np.float64)))
