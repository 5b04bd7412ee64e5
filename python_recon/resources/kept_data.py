"""How much of a scan's data is kept in memory, whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from python_recon.data import Readout


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


class InPassing:
    """What passes, and is kept by whoever takes it until that says otherwise."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def watch(self, readouts: Iterable[Readout]) -> Iterator[Readout]:
        """The readouts, counted."""
        for readout in readouts:
            self.n_bytes += readout.data.nbytes + (
                0 if readout.trajectory is None else readout.trajectory.nbytes
            )
            yield readout

    def release(self) -> None:
        """What has passed is counted elsewhere from now on, or was dropped."""
        self.n_bytes = 0
