"""What was received and is still to be worked on."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from gadgets.wire.messages import EMPTY_HEAD, OBJECT_BYTES, AcquisitionBucket, ReconBit, ReconData
from python_recon.errors import DataError
from python_recon.resources.kept_data import KeptData
from python_recon.resources.memory import told

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


class Backlog:
    """Counts bytes and notes times, between the thread that receives items and the one that takes them.

    When too much is kept, what comes is received to its end all the same, and dropped.
    """

    limit_bytes: float = math.inf
    """Of all that may be kept of the scan; may be set at any time."""
    taken_arrived_s: float | None = None
    """When the item that was taken last had been received, by the monotonic clock; None before the first."""

    def __init__(self) -> None:
        self.kept = KeptData(lambda: self.n_bytes)
        """What waits here, and what is made of the items that were taken."""
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
        n_dropped, fill = 0, ""
        for item in items:
            size = bytes_of(item)
            if n_dropped or self.kept.n_bytes + size > self.limit_bytes:
                if not n_dropped:
                    fill = f"{told(self.n_bytes)} of readouts wait, {told(self.kept.n_bytes)} are kept in all"
                    _log.error("%s: what follows is dropped", fill)
                n_dropped += 1
                continue
            self._n_received_bytes += size
            self._waiting.append((time.monotonic(), size))
            yield item
        if n_dropped:
            raise DataError(
                f"readouts came faster than they were processed: {n_dropped} were lost, because {fill}, "
                f"and {told(self.limit_bytes)} are allowed (max_host_gb) or were free; set a faster preview, "
                "or none, or make the scan shorter"
            )

    def take(self, item: Item) -> Item:
        """The item that has waited longest, now in the hands of the caller."""
        self.taken_arrived_s, size = self._waiting.popleft()
        self._n_taken_bytes += size
        return item


def bytes_of(item: Any) -> int:
    """Memory that a message takes, about: its arrays, and so much for each header, however empty it is."""
    if isinstance(item, ReconData):
        return sum(_bytes_of_bit(bit) for bit in item.bits)
    if isinstance(item, AcquisitionBucket):
        return sum(map(bytes_of, [*item.acquisitions, *item.references, *item.waveforms]))
    if isinstance(item, str):
        return OBJECT_BYTES + len(item)
    return OBJECT_BYTES + _bytes_of_arrays(item, "data", "traj")


def _bytes_of_bit(bit: ReconBit) -> int:
    buffers = [buffer for buffer in (bit.data, bit.reference) if buffer is not None]
    n_heads = sum(head is not EMPTY_HEAD for buffer in buffers for head in buffer.headers.flat)
    arrays = (_bytes_of_arrays(buffer, "data", "trajectory", "density", "headers") for buffer in buffers)
    return OBJECT_BYTES * (1 + n_heads) + sum(arrays)


def _bytes_of_arrays(holder: Any, *names: str) -> int:
    arrays = (getattr(holder, name, None) for name in names)
    return sum(array.nbytes for array in arrays if array is not None)
