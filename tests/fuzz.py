"""Damaged streams for the wire: ``python -m tests.fuzz --messages 100000 [--seed 0]``.

Streams of every kind of message are mutated and read as the daemon reads them: session, configuration, items,
readouts. Whatever comes of it, it is one of our errors, within time, and without memory for what never came.
"""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ismrmrd
import numpy as np
import psutil

from gadgets.serve.settings import config_of
from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.channels import Channel
from gadgets.wire.messages import AcquisitionBucket, ErrorText, ReconBit, ReconBuffer, ReconData, Text
from gadgets.wire.wire import Item, Wire
from python_recon.errors import ReconError

STREAM_S = 10
"""For one stream; those that hang take longer."""
MEMORY_BYTES = 1 << 29
"""Beyond what the process has at the start: a quarter of what a length field may claim at most."""
_EXTREMES = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
_HEADER = b"""<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding><encodedSpace><matrixSize><x>16</x><y>16</y><z>1</z></matrixSize>
<fieldOfView_mm><x>240</x><y>240</y><z>8</z></fieldOfView_mm></encodedSpace>
<encodingLimits/><trajectory>radial</trajectory></encoding></ismrmrdHeader>"""
_CONFIGS = (
    b'<configuration><property name="binning.spokes_per_frame" value="8"/></configuration>',
    b'{"parameters": {"method": "gridding", "output.bits": 12}}',
)


class MemoryChannel(Channel):
    """A stream that has come already; what is sent is kept."""

    max_idle_seconds = 1.0
    is_lost = False

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self._coming = memoryview(data)
        self.sent = bytearray()

    def receive(self, buffer: Any) -> int:
        part = self._coming[: len(buffer)]
        buffer[: len(part)] = part
        self._coming = self._coming[len(part) :]
        return len(part)

    def _send(self, view: memoryview) -> int:
        self.sent += view
        return view.nbytes

    def abort(self) -> None:
        self._coming = self._coming[:0]


def valid_messages(rng: np.random.Generator) -> list[bytes]:
    """A session and items of every kind, each message by itself."""
    channel = MemoryChannel()
    wire, messages = Wire(channel), []

    def cut() -> None:
        messages.append(bytes(channel.sent))
        channel.sent.clear()

    if rng.random() < 0.3:
        wire.send_config_file("radial_preview.xml")
    else:
        wire.send_config_text(_CONFIGS[rng.integers(len(_CONFIGS))].decode())
    cut()
    wire.send_header(_HEADER)
    cut()
    for item in _items(rng):
        wire.send(item)
        cut()
    wire.send_close()
    cut()
    return messages


def _items(rng: np.random.Generator) -> Iterator[Item]:
    if rng.random() < 0.3:
        yield Text('{"parameters": {"max_recon_seconds": "5"}}')
    makers = (_acquisition, _waveform, _image, _recon_data, _bucket, lambda _: ErrorText("no"))
    for number in rng.permutation(2 * len(makers)):
        yield makers[number // 2](rng)


def _acquisition(rng: np.random.Generator) -> ismrmrd.Acquisition:
    data = rng.standard_normal((2, 12)).astype(np.complex64)
    return ismrmrd.Acquisition.from_array(data, rng.standard_normal((12, 2)).astype(np.float32))


def _waveform(rng: np.random.Generator) -> ismrmrd.Waveform:
    return ismrmrd.Waveform.from_array(rng.integers(0, 99, (2, 5)).astype(np.uint32))


def _image(rng: np.random.Generator) -> ismrmrd.Image:
    image = ismrmrd.Image.from_array(rng.random((4, 5)).astype(np.float32), transpose=False)
    image.meta = ismrmrd.Meta({"DataRole": "Image"})
    return image


def _recon_data(rng: np.random.Generator) -> ReconData:
    headers = np.empty((3, 1, 1, 1, 1), object)
    for index in np.ndindex(headers.shape):
        headers[index] = ismrmrd.AcquisitionHeader(number_of_samples=4, active_channels=2)
    data = rng.standard_normal((4, 3, 1, 2, 1, 1, 1)).astype(np.complex64)
    trajectory = rng.standard_normal((2, 4, 3, 1, 1, 1, 1)).astype(np.float32)
    return ReconData((ReconBit(ReconBuffer(data, headers, trajectory)),))


def _bucket(rng: np.random.Generator) -> AcquisitionBucket:
    return AcquisitionBucket((_acquisition(rng), _acquisition(rng)), (_acquisition(rng),), (_waveform(rng),))


def mutated(messages: list[bytes], rng: np.random.Generator) -> bytes:
    """The stream with its order, or up to four places of it, changed."""
    if rng.random() < 0.2:
        messages = [messages[number] for number in rng.integers(0, len(messages), len(messages))]
    stream = bytearray(b"".join(messages))
    for _ in range(rng.integers(0, 5)):
        _mutate(stream, _place(messages, len(stream), rng), rng)
    return bytes(stream)


def _place(messages: list[bytes], length: int, rng: np.random.Generator) -> int:
    """Anywhere, or where a message begins: there are the ids, lengths and headers."""
    if rng.random() < 0.4 or not length:
        return int(rng.integers(0, length + 1))
    starts = np.cumsum([0, *map(len, messages)])
    return min(int(rng.choice(starts) + rng.integers(0, 32)), length)


def _mutate(stream: bytearray, place: int, rng: np.random.Generator) -> None:
    count = int(rng.integers(1, 40))
    match rng.integers(0, 6):
        case 0:
            stream[place : place + 1] = rng.bytes(1)
        case 1:
            code = rng.choice(["B", "H", "I", "Q"])
            size = struct.calcsize(f"<{code}")
            value = _EXTREMES[rng.integers(len(_EXTREMES))] % (1 << 8 * size)
            stream[place : place + size] = struct.pack(f"<{code}", value)
        case 2:
            stream[place:place] = rng.bytes(count)
        case 3:
            del stream[place : place + count]
        case 4:
            stream[place:place] = stream[place : place + count]
        case 5:
            del stream[place:]


def read(stream: bytes) -> tuple[int, str]:
    """How many messages were taken, and how it ended: the class of the error, or nothing."""
    wire = Wire(MemoryChannel(stream))
    n_messages = 1
    try:
        session = wire.receive_session()
        config_of(session)
        n_messages += 2
        items = []
        for item in wire:
            n_messages += 1
            items.append(item)
        for _ in ReadoutStream(items, session.header):
            pass
    except ReconError as error:
        return n_messages, type(error).__name__
    return n_messages, ""


def fuzz(n_messages: int, seed: int) -> Counter[str]:
    """Read mutated streams until so many messages were taken; how they ended, by kind."""
    rng = np.random.default_rng(seed)
    endings: Counter[str] = Counter()
    n_taken = 0
    with limited_memory(MEMORY_BYTES):
        while n_taken < n_messages:
            stream = mutated(valid_messages(rng), rng)
            try:
                with limited_time(STREAM_S):
                    count, ending = read(stream)
            except Exception as error:
                told = f"seed {seed}, after {n_taken} messages, a stream of {len(stream)} bytes: {error!r}"
                raise AssertionError(told) from error
            n_taken += count
            endings[ending or "whole"] += 1
    return endings


@contextmanager
def limited_memory(n_bytes: int) -> Iterator[None]:
    """Address space beyond what is in use; more is a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    def overdue(_number: int, _frame: object) -> None:
        raise TimeoutError(f"the stream hangs for {seconds} s")

    former = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    endings = fuzz(arguments.messages, arguments.seed)
    told = ", ".join(f"{count} {kind}" for kind, count in endings.most_common())
    print(f"{arguments.messages} messages in {endings.total()} streams, no crash, no hang: {told}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
