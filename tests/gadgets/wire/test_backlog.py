"""What was received and not taken is bounded; what is received has its time."""

from __future__ import annotations

import time

import ismrmrd
import numpy as np
import pytest

from gadgets.stage import images
from gadgets.translate.readouts import ReadoutStream
from gadgets.wire.backlog import Backlog
from gadgets.wire.header import parse_header
from gadgets.wire.messages import OBJECT_BYTES, AcquisitionBucket, ReconBit, ReconBuffer, ReconData, Text
from python_recon.config import load_config
from python_recon.errors import DataError

ARRAY_BYTES = 4 * 256 * 8 + 256 * 2 * 4
READOUT_BYTES = ARRAY_BYTES + OBJECT_BYTES


def readout() -> ismrmrd.Acquisition:
    data, trajectory = np.ones((4, 256), np.complex64), np.zeros((256, 2), np.float32)
    return ismrmrd.Acquisition.from_array(data, trajectory)


def recon_data() -> ReconData:
    buffer = ReconBuffer(
        np.ones((256, 1, 1, 4, 1, 1, 1), np.complex64),
        np.empty((1, 1, 1, 1, 1), object),
        np.zeros((2, 256, 1, 1, 1, 1, 1), np.float32),
    )
    return ReconData((ReconBit(buffer),))


EMPTY = AcquisitionBucket(2 * (ismrmrd.Acquisition(ismrmrd.AcquisitionHeader()),))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (readout(), READOUT_BYTES),
        (recon_data(), ARRAY_BYTES + 8 + 2 * OBJECT_BYTES),
        (AcquisitionBucket((readout(), readout()), (readout(),)), 3 * READOUT_BYTES),
        (Text("no arrays"), 9 + OBJECT_BYTES),
        (EMPTY, 2 * OBJECT_BYTES),
    ],
    ids=["readout", "recon data", "bucket", "text", "nothing"],
)
def test_what_waits_is_counted(item, expected):
    backlog = Backlog()
    assert list(backlog.received([item, item])) == [item, item]
    assert backlog.n_bytes == 2 * expected
    assert backlog.take(item) is item
    assert backlog.n_bytes == expected


def test_what_is_taken_in_time_may_be_of_any_length():
    backlog = Backlog()
    backlog.limit_bytes = 2 * READOUT_BYTES
    items = [readout() for _ in range(20)]
    assert [backlog.take(item) for item in backlog.received(items)] == items


def test_beyond_the_limit_the_stream_is_received_to_its_end_and_then_refused():
    backlog, received, sent = Backlog(), [], []
    backlog.limit_bytes = 2 * READOUT_BYTES

    def stream():
        for _ in range(6):
            sent.append(readout())
            yield sent[-1]

    with pytest.raises(DataError, match=r"4 were lost.*max_host_gb"):
        received.extend(backlog.received(stream()))
    assert len(sent) == 6
    assert received == sent[:2]


def test_after_a_gap_nothing_is_let_in_again():
    """A scan with a hole in its middle would look like a whole one."""
    backlog, received = Backlog(), []
    backlog.limit_bytes = READOUT_BYTES

    def stream():
        yield readout()
        yield readout()
        backlog.take(received[0])
        yield readout()

    with pytest.raises(DataError, match="2 were lost"):
        received.extend(backlog.received(stream()))
    assert len(received) == 1


def test_an_item_knows_when_it_was_received():
    backlog = Backlog()
    before = time.monotonic()
    (item,) = backlog.received([readout()])
    after = time.monotonic()
    assert backlog.taken_arrived_s is None
    backlog.take(item)
    assert before <= backlog.taken_arrived_s <= after


def test_what_others_keep_counts_against_the_same_limit():
    """Half of what is allowed is taken up by frames: no more than the other half may wait."""
    backlog, received = Backlog(), []
    backlog.limit_bytes = 4 * READOUT_BYTES
    message = r"2 were lost, because \d+ MB of readouts wait, \d+ MB are kept in all"
    with backlog.kept.counting(lambda: 2 * READOUT_BYTES), pytest.raises(DataError, match=message):
        received.extend(backlog.received([readout() for _ in range(4)]))
    assert len(received) == 2
    assert backlog.kept.n_bytes == 2 * READOUT_BYTES, "the frames have gone"


def test_frames_that_wait_for_their_method_are_kept_beside_the_readouts(blob_scan):
    backlog = Backlog()
    items = (backlog.take(item) for item in backlog.received(blob_scan.items))
    stream = ReadoutStream(items, parse_header(blob_scan.header_xml.encode()), backlog)
    settings = {"method": "cg_sense", "preview": "gridding", "binning.spokes_per_frame": 17}
    kept = [
        (image.image_series_index, backlog.kept.n_bytes - backlog.n_bytes)
        for image in images(stream, load_config(settings))
    ]
    previews = [n_bytes for series, n_bytes in kept if series == 1]
    assert len(previews) == 4
    assert previews == sorted(set(previews)), "each frame was kept"
    assert backlog.kept.n_bytes == 0
