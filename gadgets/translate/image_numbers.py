"""The number of an image within its series, of which every image has another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from python_recon.data import Counters

MAX_NUMBER = (1 << 16) - 1
_INNER = ("slice", "contrast", "set")
"""Counters that tell apart what is reconstructed by itself; the first changes fastest."""


class ImageNumbers:
    """Gives out the numbers of one series.

    They follow from the images of the same slice so far, the counters of the slice and the limits that the
    header announces for these: the first images of all slices come before the second ones. Where slices are
    spread over several processes, each knows the limits and none the others, and together they give the
    numbers that one process would. Within a slice they rise.

    What the header does not announce, and what would have a number that is taken already, gets the next one
    beyond all others. Beyond the 65535 that the image's header can hold there is only that last one.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._taken: set[int] = set()
        self._last = 0

    def take(self, counters: Counters, limits: Mapping[str, int]) -> int:
        """The number, from 1, of the next image of the slice that the counters tell.

        ``limits`` are the largest values of the counters, by their names.
        """
        place = tuple(getattr(counters, name) for name in _INNER)
        number, is_announced = self._counts[place], True
        for name, value in zip(reversed(_INNER), reversed(place), strict=True):
            size = limits.get(name, 0) + 1
            number, is_announced = number * size + value, is_announced and value < size
        number += 1
        if number in self._taken or not is_announced:
            number = self._last + 1
        self._counts[place] += 1
        self._taken.add(number)
        self._last = max(self._last, number)
        return min(number, MAX_NUMBER)
