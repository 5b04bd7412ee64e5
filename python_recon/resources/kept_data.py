"""How much of a scan's data is kept in memory, whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class KeptData:
    """Adds up what is kept of one scan, so that its keepers share one limit and have not one each.

    Readouts wait until they are taken, then frames wait for the method: data wander from keeper to keeper.
    Any thread may ask.

    Parameters
    ----------
    keepers
        Tell how many bytes they keep, each beside the others.
    """

    def __init__(self, *keepers: Callable[[], int]) -> None:
        self._keepers = keepers

    @property
    def n_bytes(self) -> int:
        return sum(keeper() for keeper in self._keepers)

    @contextmanager
    def counting(self, keeper: Callable[[], int]) -> Iterator[None]:
        """Within the block, there is one more."""
        self._keepers = (*self._keepers, keeper)
        try:
            yield
        finally:
            self._keepers = tuple(each for each in self._keepers if each is not keeper)
