"""Whatever a peer sends: one of our errors, in time, and no memory for what never came."""

from __future__ import annotations

import struct
import tracemalloc

import ismrmrd
import numpy as np
import pytest
from ismrmrd.waveform import WaveformHeader

from gadgets.wire.reader import TRUSTED_BYTES, Reader
from gadgets.wire.wire import Wire
from python_recon.errors import StreamError
from tests.fuzz import MemoryChannel, fuzz, limited_time, mutated, read, valid_messages


def test_damaged_streams():
    """A full run is ``python -m tests.fuzz``."""
    endings = fuzz(4000, seed=2)
    assert {"ProtocolError", "StreamError", "ConfigError"} <= set(endings)


def test_the_streams_are_whole_before_they_are_damaged():
    rng = np.random.default_rng(3)
    for _ in range(5):
        messages = valid_messages(rng)
        assert read(b"".join(messages))[1] == ""
        damaged = {mutated(messages, rng) for _ in range(20)}
        assert len(damaged) > 10


CLAIMS = {
    "text": struct.pack("<HI", 5, (1 << 26) - 1),
    "error": struct.pack("<HQ", 8, (1 << 26) - 1),
    "acquisition": struct.pack("<H", 1008)
    + bytes(ismrmrd.AcquisitionHeader(active_channels=1024, number_of_samples=65535)),
    "trajectory": struct.pack("<H", 1008)
    + bytes(ismrmrd.AcquisitionHeader(number_of_samples=65535, trajectory_dimensions=65535)),
    "waveform": struct.pack("<H", 1026) + bytes(WaveformHeader(channels=16384, number_of_samples=65535)),
    "image": struct.pack("<H", 1022)
    + bytes(ismrmrd.ImageHeader(data_type=1, channels=1, matrix_size=(1024, 1024, 1024)))
    + struct.pack("<Q", 0),
    "recon data": struct.pack("<HQQ2Q", 1023, 1, 2, 1 << 14, 1 << 15),
    "bits": struct.pack("<HQ", 1023, (1 << 64) - 1),
    "bucket": struct.pack("<H13Q", 1050, *[(1 << 64) - 1] * 13),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_takes_no_memory(claim):
    """Of up to 4 GiB; what follows are a few bytes."""
    wire = Wire(MemoryChannel(claim + bytes(64)))
    tracemalloc.start()
    try:
        with pytest.raises(StreamError):
            list(wire)
        assert tracemalloc.get_traced_memory()[1] < 2 * TRUSTED_BYTES + (1 << 20)
    finally:
        tracemalloc.stop()


XML = b'<?xml version="1.0" encoding="%s"?><configuration/>'


@pytest.mark.parametrize("encoding", [b"UTG-8", b"UTF-7", b"UTF-32", b"hex"])
def test_encodings_that_nobody_knows(encoding):
    text = XML % encoding
    rng = np.random.default_rng(5)
    head = bytes(ismrmrd.ImageHeader(data_type=1)) + struct.pack("<Q", len(text)) + text
    streams = [
        struct.pack("<HI", 2, len(text)) + text + b"".join(valid_messages(rng)[1:]),
        struct.pack("<HI", 3, len(text)) + text,
        b"".join(valid_messages(rng)[:2]) + struct.pack("<H", 1022) + head,
    ]
    endings = [read(stream)[1] for stream in streams]
    assert endings[0] in ("ConfigError", "")
    assert set(endings[1:]) == {"ProtocolError"}


@pytest.mark.parametrize("n_bytes", [TRUSTED_BYTES, TRUSTED_BYTES + 1, 3 * TRUSTED_BYTES + 5])
def test_what_comes_is_taken_whole(n_bytes):
    data = bytes(range(251)) * (n_bytes // 251 + 1)
    assert Reader(MemoryChannel(data)).take(n_bytes) == data[:n_bytes]


@pytest.mark.parametrize(
    "value",
    ["[" * 5000, "{" * 5000, "2024-99-99", "!!python/object:os.system x", "&amp;a [*a]"],
)
def test_values_of_properties(value):
    """YAML of every kind, where a text is wanted; none becomes an object, or more than it says."""
    config = f'<configuration><property name="output.series_description" value="{value}"/></configuration>'
    messages = [struct.pack("<HI", 2, len(config)) + config.encode()]
    messages += valid_messages(np.random.default_rng(4))[1:]
    with limited_time(5):
        assert read(b"".join(messages))[1] in ("ConfigError", "")
