"""What was received and is still to be worked on."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from gadgets.messages import AcquisitionBucket, ReconData
from python_recon.errors import DataError
from python_recon.memory import told

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


class Backlog:
    """Counts bytes and notes times, between the thread that receives items and the one that takes them.

    When too much waits, what comes is received to its end all the same, and dropped.
    """

    limit_bytes: float = math.inf
    """Of what may wait; may be set at any time."""
    taken_arrived_s: float | None = None
    """When the item that was taken last had been received, by the monotonic clock; None before the first."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, int]] = deque()
        self._n_received_bytes = self._n_taken_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes that wait."""
        return self._n_received_bytes - self._n_taken_bytes

    def received(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items as they come; the caller keeps them until they are taken.

        Raises
        ------
        DataError
            After the last, if items had to be dropped.
        """
        n_dropped = 0
        for item in items:
            size = bytes_of(item)
            if n_dropped or self.n_bytes + size > self.limit_bytes:
                if not n_dropped:
                    _log.error("%s of readouts wait: what follows is dropped", told(self.n_bytes))
                n_dropped += 1
                continue
            self._n_received_bytes += size
            self._waiting.append((time.monotonic(), size))
            yield item
        if n_dropped:
            raise DataError(
                f"readouts came faster than they were worked on: {n_dropped} found no place, because others "
                f"filled the {told(self.limit_bytes)} that are allowed (max_host_gb) or were free; set a "
                "faster preview, or none"
            )

    def take(self, item: Item) -> Item:
        """The item that has waited longest, now in the hands of the caller."""
        self.taken_arrived_s, size = self._waiting.popleft()
        self._n_taken_bytes += size
        return item


def bytes_of(item: Any) -> int:
    """Size of the arrays of a message; its other parts are small."""
    if isinstance(item, ReconData):
        return sum(bytes_of(bit.data) for bit in item.bits)
    if isinstance(item, AcquisitionBucket):
        return sum(map(bytes_of, [*item.acquisitions, *item.waveforms]))
    arrays = (getattr(item, name, None) for name in ("data", "traj", "trajectory"))
    return sum(array.nbytes for array in arrays if array is not None)
