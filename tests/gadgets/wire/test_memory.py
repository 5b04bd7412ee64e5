"""Everything that is kept of a scan counts against its limit, also what is neither readout nor frame."""

from __future__ import annotations

import ctypes
import struct
import tracemalloc

import ismrmrd
import numpy as np
import pytest

from gadgets.stage import images
from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.backlog import Backlog, bytes_of
from gadgets.wire.header import parse_header
from gadgets.wire.messages import EMPTY_HEAD, MessageId, SamplingDescription
from gadgets.wire.wire import Wire
from python_recon.config import load_config
from python_recon.errors import DataError
from tests.fuzz import MemoryChannel

MB = 1 << 20


def bucket_of_empty_heads(count):
    sizes = struct.pack("<13Q", count, 340 * count, *[0] * 11)
    return struct.pack("<H", MessageId.BUCKET) + sizes + bytes(340 * count)


def recon_data_of_empty_lines(count):
    heads = struct.pack("<Q5Q", 5, count, 1, 1, 1, 1) + bytes(340 * count)
    arrays = (
        struct.pack("<QBB", 0, False, False)
        + heads
        + bytes(ctypes.sizeof(SamplingDescription))
        + struct.pack("<B", False)
    )
    return struct.pack("<HQ", MessageId.RECON_DATA, 1) + arrays


def waveform(waveform_id, n_samples=1000):
    return ismrmrd.Waveform.from_array(
        np.ones((1, n_samples), np.uint32), waveform_id=waveform_id, sample_time_us=1000
    )


def test_one_message_takes_no_more_than_a_scan_may():
    wire = Wire(MemoryChannel(bucket_of_empty_heads(20_000)))
    wire.set_limit(3 * MB)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"one message takes 3 MB of memory or more, .*max_host_gb"):
            list(wire)
        assert tracemalloc.get_traced_memory()[1] < 12 * MB
    finally:
        tracemalloc.stop()


def test_messages_one_after_the_other_have_the_limit_each():
    wire = Wire(MemoryChannel(5 * bucket_of_empty_heads(2000) + struct.pack("<H", MessageId.CLOSE)))
    wire.set_limit(5 * MB)
    assert len(list(wire)) == 5


def test_lines_that_no_readout_filled_take_next_to_nothing():
    wire = Wire(MemoryChannel(recon_data_of_empty_lines(50_000) + struct.pack("<H", MessageId.CLOSE)))
    (item,) = wire
    assert item.bits[0].data.headers.shape == (50_000, 1, 1, 1, 1)
    assert all(head is EMPTY_HEAD for head in item.bits[0].data.headers.flat)
    assert bytes_of(item) < MB


def test_waveforms_that_tell_nothing_are_not_kept(blob_scan):
    """Those that tell something are, and count."""
    backlog = Backlog()
    unknown, ecg = [waveform(7) for _ in range(100)], [waveform(0) for _ in range(100)]
    scan = [*blob_scan.items[:35], *unknown, blob_scan.items[35], *ecg, *blob_scan.items[36:]]
    items = (backlog.take(item) for item in backlog.received(scan))
    stream = ReadoutStream(items, parse_header(blob_scan.header_xml.encode()), backlog)
    settings = load_config({"method": "gridding", "binning.spokes_per_frame": 34})
    kept = [backlog.kept.n_bytes - backlog.n_bytes for _ in images(stream, settings)]
    assert kept[0] < 100_000
    assert 400_000 < kept[1] < 600_000
    assert not stream.waveforms


def test_readouts_that_wait_for_a_frame_that_never_comes_count(blob_scan):
    backlog = Backlog()
    backlog.limit_bytes = sum(map(bytes_of, blob_scan.items)) // 2
    items = (backlog.take(item) for item in backlog.received(blob_scan.items))
    stream = ReadoutStream(items, parse_header(blob_scan.header_xml.encode()), backlog)
    config = load_config({"method": "gridding", "binning.spokes_per_frame": 60_000})
    with pytest.raises(DataError, match="were lost"):
        list(images(stream, config))
