"""Which spokes a slice has and when each was measured, and the k-space of some of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.arrays import to_numpy
from python_recon.data import KSpace
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


def has_clock(kspace: KSpace) -> bool:
    """Whether the spokes have time stamps that tell them apart."""
    times = kspace.spoke_times_s
    if times is None:
        return False
    own = times[own_spokes(kspace)]
    return bool(own.size) and np.ptp(own) > 0


def spoke_times(kspace: KSpace) -> np.ndarray:
    """Time of every spoke (frame, spoke) in s; the numbers of the frames where there are no stamps."""
    own = own_spokes(kspace)
    if kspace.spoke_times_s is None or not has_clock(kspace):
        return np.broadcast_to(np.arange(len(own), dtype=np.float64)[:, None], own.shape)
    return kspace.spoke_times_s


def frame_times(kspace: KSpace) -> np.ndarray:
    """Mean time of every frame (frame,), on the clock of :func:`spoke_times`."""
    return frame_means(kspace, spoke_times(kspace))


def frame_means(kspace: KSpace, values: np.ndarray) -> np.ndarray:
    """Mean of values (frame, spoke) over the own spokes of every frame (frame,).

    A frame without spokes of its own lies between its neighbours.
    """
    own = own_spokes(kspace)
    counts = own.sum(axis=1)
    means = (values * own).sum(axis=1) / np.maximum(counts, 1)
    known = np.flatnonzero(counts)
    filled: np.ndarray = np.interp(np.arange(len(own)), known, means[known])
    return filled
