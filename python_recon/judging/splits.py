"""The samples of a scan in groups that are held out together: spokes, lines, or points.

Every group is spread evenly over what was measured: over angles where spokes cross the centre, over
positions where lines lie side by side, over the plane where points were chosen one by one; and over frames.
The centre of k-space belongs to no group where it would be lost with one: no network can guess it.
"""

from __future__ import annotations

import numpy as np

from python_recon.acquisition.encoding import encoding_of
from python_recon.acquisition.spokes import own_spokes
from python_recon.arrays import to_numpy
from python_recon.data import KSpace
from python_recon.errors import DataError

NO_GROUP = -1
_CENTRE = 2.0
"""Cycles per field of view from the centre within which lines and points stay: 4 x 4, as published."""


def sample_groups(kspace: KSpace, n_groups: int, seed: int) -> np.ndarray:
    """The group of every sample, (frame, spoke, readout) int; -1 for the centre and where nothing is.

    Parameters
    ----------
    kspace
        Prepared: samples that were not measured have the density 0.
    n_groups
        As many as are wanted; they differ by one spoke, line or point at most.
    seed
        Of the choice among neighbours.

    Raises
    ------
    DataError
        If a group would be empty.
    """
    places, deck = to_numpy(kspace.trajectory), _Deck(n_groups, seed)
    measured = np.broadcast_to(own_spokes(kspace)[..., None], places.shape[:-1])
    if kspace.density is not None:
        measured = measured & (to_numpy(kspace.density) > 0)
    by = _of_lines if not encoding_of(kspace).READOUTS_ARE_ALIKE else _of_spokes
    by = _of_points if _has_points(measured) else by
    groups = np.full(measured.shape, NO_GROUP)
    for frame, (is_there, where) in enumerate(zip(measured, places, strict=True)):
        groups[frame] = by(is_there, where, deck)
    found = np.unique(groups[groups != NO_GROUP])
    if len(found) < n_groups:
        raise DataError(
            f"{n_groups} groups of held-out samples are asked for, the scan has spokes, lines or points for "
            f"{len(found)}: ask for fewer"
        )
    return groups


def _has_points(measured: np.ndarray) -> bool:
    """Whether samples were chosen within readouts, not readouts as a whole."""
    used = measured[measured.any(-1)]
    return bool(used.size) and bool((np.diff(used, axis=-1).sum(-1) > 2).any())


def _of_spokes(measured: np.ndarray, places: np.ndarray, deck: _Deck) -> np.ndarray:
    """(spoke, readout) of one frame; neighbours are told by their angles."""
    along = places[:, -1] - places[:, 0]
    angle = np.arctan2(along[:, 1], along[:, 0]) % np.pi
    return _of_readouts(measured, np.asarray(measured.any(-1)), angle, deck)


def _of_lines(measured: np.ndarray, places: np.ndarray, deck: _Deck) -> np.ndarray:
    """(spoke, readout) of one frame; neighbours are told by their positions, those of the centre stay."""
    nearest = np.linalg.norm(places, axis=-1).min(-1)
    free = np.asarray(measured.any(-1) & (nearest > _CENTRE))
    return _of_readouts(measured, free, places[..., 1].mean(-1), deck)


def _of_readouts(measured: np.ndarray, free: np.ndarray, order: np.ndarray, deck: _Deck) -> np.ndarray:
    """(spoke, readout) of the free ones, as a whole."""
    groups = np.full(len(order), NO_GROUP)
    groups[free] = deck.deal(order[free])
    return np.where(measured, groups[:, None], NO_GROUP)


def _of_points(measured: np.ndarray, places: np.ndarray, deck: _Deck) -> np.ndarray:
    """(spoke, readout) of one frame; neighbours are told along the rows, every other one backwards."""
    free = measured & (np.abs(places).max(-1) > _CENTRE)
    index = np.flatnonzero(free)
    rows, columns = np.divmod(index, measured.shape[1])
    order = rows * measured.shape[1] + np.where(rows % 2, measured.shape[1] - 1 - columns, columns)
    groups = np.full(measured.size, NO_GROUP)
    groups[index] = deck.deal(order)
    return groups.reshape(measured.shape)


class _Deck:
    """Deals all groups, in an order by chance, before it deals one again; across frames, too."""

    def __init__(self, n_groups: int, seed: int) -> None:
        self._n_groups, self._generator = n_groups, np.random.default_rng(seed)
        self._left = np.empty(0, dtype=int)

    def deal(self, order: np.ndarray) -> np.ndarray:
        """A group for each of some neighbours, told by their order."""
        while len(self._left) < len(order):
            self._left = np.concatenate([self._left, self._generator.permutation(self._n_groups)])
        dealt, self._left = np.split(self._left, [len(order)])
        groups = np.empty(len(order), dtype=int)
        groups[np.argsort(order, kind="stable")] = dealt
        return groups
