"""Bytes of a channel as numbers, texts, structures and arrays, every size bounded."""

from __future__ import annotations

import ctypes
import math
import struct
from typing import TypeVar

import numpy as np

from gadgets.wire.channels import Channel, bounded
from gadgets.wire.messages import OBJECT_BYTES
from python_recon.errors import DataError, StreamError
from python_recon.resources.memory import told

MAX_ARRAY_BYTES = 1 << 32
MAX_TEXT_BYTES = 1 << 26
TRUSTED_BYTES = 1 << 24
"""Taken from the memory on the word of the peer; beyond that, as much again as has come."""

Structure = TypeVar("Structure", bound=ctypes.Structure)


class Reader:
    """Exactly as many bytes as a message needs, or a StreamError that says it was cut short.

    Memory is taken in proportion to what the peer sends: a claim by itself costs nothing.
    """

    limit_bytes: float = math.inf
    """Of one message; may be set at any time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._n_counted = 0

    def begin(self) -> None:
        """Another message begins."""
        self._n_counted = 0

    def count(self, n_bytes: int) -> None:
        """So much memory is about to be taken for the message; raises DataError where that is too much."""
        self._n_counted += n_bytes
        if self._n_counted > self.limit_bytes:
            raise DataError(
                f"one message takes {told(self._n_counted)} of memory or more, and {told(self.limit_bytes)} "
                "are allowed (max_host_gb) or were free: send readouts in smaller messages, or raise it"
            )

    def take(self, n_bytes: int) -> bytearray:
        self.count(n_bytes)
        data = bytearray(min(n_bytes, TRUSTED_BYTES))
        self._fill(memoryview(data))
        while len(data) < n_bytes:
            n_read = len(data)
            data.extend(bytes(min(n_read, n_bytes - n_read)))
            self._fill(memoryview(data)[n_read:])
        return data

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0])

    def text(self, length_code: str, what: str) -> bytes:
        """Length-prefixed bytes, without the terminating NULs that some peers send."""
        n_bytes = bounded(self.number(length_code), MAX_TEXT_BYTES, what)
        return bytes(self.take(n_bytes)).rstrip(b"\0")

    def structure(self, kind: type[Structure]) -> Structure:
        self.count(OBJECT_BYTES)
        return kind.from_buffer_copy(self.take(ctypes.sizeof(kind)))

    def array(self, shape: tuple[int, ...], dtype: np.dtype, what: str) -> np.ndarray:
        n_bytes = bounded(math.prod(shape) * dtype.itemsize, MAX_ARRAY_BYTES, what)
        if n_bytes > TRUSTED_BYTES:
            return np.frombuffer(self.take(n_bytes), dtype).reshape(shape)
        self.count(n_bytes)
        array = np.empty(shape, dtype)
        if array.nbytes:
            self._fill(memory_of(array))
        return array

    def _fill(self, view: memoryview) -> None:
        n_read = self._channel.read_into(view)
        if n_read < view.nbytes:
            raise StreamError(f"the stream ended within a message: {n_read} of {view.nbytes} bytes came")


def memory_of(array: np.ndarray) -> memoryview:
    """The memory of a contiguous array."""
    return memoryview(array.reshape(-1).view(np.uint8))
