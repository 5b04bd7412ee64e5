"""Bytes of a channel as numbers, texts, structures and arrays, every size bounded."""

from __future__ import annotations

import ctypes
import math
import struct
from typing import TypeVar

import numpy as np

from gadgets.wire.channels import Channel, bounded
from python_recon.errors import StreamError

MAX_ARRAY_BYTES = 1 << 32
MAX_TEXT_BYTES = 1 << 26
TRUSTED_BYTES = 1 << 24
"""Taken from the memory on the word of the peer; beyond that, as much again as has come."""

Structure = TypeVar("Structure", bound=ctypes.Structure)


class Reader:
    """Exactly as many bytes as a message needs, or a StreamError that says it was cut short.

    Memory is taken in proportion to what the peer sends: a claim by itself costs nothing.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def take(self, n_bytes: int) -> bytearray:
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
        return kind.from_buffer_copy(self.take(ctypes.sizeof(kind)))

    def array(self, shape: tuple[int, ...], dtype: np.dtype, what: str) -> np.ndarray:
        n_bytes = bounded(math.prod(shape) * dtype.itemsize, MAX_ARRAY_BYTES, what)
        if n_bytes > TRUSTED_BYTES:
            return np.frombuffer(self.take(n_bytes), dtype).reshape(shape)
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
