"""One scan over one wire: images, or exactly one error; the stream is always received to its end."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from importlib.metadata import version

import ismrmrd
import numpy as np
import pytest

from gadgets.scan import ScanRecord, serve_scan
from gadgets.stage import images
from gadgets.wire.header import parse_header
from gadgets.wire.messages import ErrorText
from gadgets.wire.wire import Wire
from python_recon.config import Config
from python_recon.errors import DataError

PATIENCE_S = 60.0
"""On a busy machine."""
GRIDDING = b'<configuration><property name="method" value="gridding"/></configuration>'


def one_image(stream, config):
    for _ in stream:
        pass
    yield ismrmrd.Image.from_array(np.ones((2, 3), np.uint16), transpose=False)


def failing_late(stream, config):
    yield from one_image(stream, config)
    raise DataError("the coils do not fit")


def failing_early(stream, config):
    next(iter(stream))
    raise DataError("no trajectory")
    yield


def broken(stream, config):
    yield from one_image(stream, config)
    raise ZeroDivisionError("by zero")


def sending_nothing(stream, config):
    for _ in stream:
        pass
    yield from ()


def serve(scan, stage, configuration=GRIDDING, **settings):
    """What the host receives from a gadget that serves the scan in another thread."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host, gadget = Wire.from_socket(ours, PATIENCE_S), Wire.from_socket(theirs, PATIENCE_S)

        def run():
            serve_scan(gadget, parse_header(scan.header_xml.encode()), configuration, stage, **settings)
            gadget.send_close()

        thread = threading.Thread(target=run)
        thread.start()
        for item in scan.items:
            host.send(item)
        host.send_close()
        received = list(host)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    return received


def test_images_reach_the_client(blob_scan, caplog):
    with caplog.at_level(logging.INFO):
        (image,) = serve(blob_scan, one_image)
    assert image.data.shape == (1, 1, 2, 3)
    assert "measurement blob: 69 readouts received, 1 items sent" in caplog.text
    assert f"gadgetron-pisco {version('gadgetron-pisco')}" in caplog.text


def test_images_tell_what_was_warned_of(blob_scan):
    """The log is the server's: who looks at the images does not see it."""
    received = serve(blob_scan, images)
    assert len(received) == 2
    for image in received:
        assert image.meta["ImageComments"].count("spokes of a frame is not known: taking 34") == 1


@pytest.mark.parametrize(
    ("stage", "n_images", "text"),
    [
        (failing_early, 0, "no trajectory"),
        (failing_late, 1, "the coils do not fit"),
        (broken, 1, "unforeseen failure: ZeroDivisionError: by zero"),
        (sending_nothing, 0, "2760 readouts came"),
    ],
)
def test_a_failure_reaches_the_client_once(blob_scan, stage, n_images, text):
    """The host could send 30 MB: the gadget takes them all, though it failed at the first."""
    blob_scan.items *= 40
    received = serve(blob_scan, stage)
    errors = [item for item in received if isinstance(item, ErrorText)]
    assert len(received) - len(errors) == n_images
    assert len(errors) == 1
    assert text in errors[0]


def dawdling(stream, config):
    for _ in stream:
        time.sleep(0.02)
    yield from ()


def test_readouts_that_wait_are_bounded_and_the_client_is_told(blob_scan):
    """A dozen of them fit into what is allowed; the host can send all of them nevertheless."""
    blob_scan.items *= 10
    received = serve(blob_scan, dawdling, GRIDDING, parameters={"max_host_gb": 1e-4})
    assert len(received) == 1
    assert isinstance(received[0], ErrorText)
    assert "readouts came faster than they were processed" in received[0]


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (b'<configuration><property name="methd" value="grasp"/></configuration>', "'method'"),
        (b'<configuration><property name="method" value="griding"/></configuration>', "'gridding'"),
        (b'<configuration><property name="output.bits" value="13"/></configuration>', "output.bits"),
        (b"<configuration", "not valid XML"),
    ],
)
def test_a_bad_configuration_reaches_the_client(blob_scan, configuration, text):
    (error,) = serve(blob_scan, one_image, configuration)
    assert isinstance(error, ErrorText)
    assert text in error


def test_the_scanner_s_parameters_override_the_configuration(blob_scan):
    seen = []

    def stage(stream, config):
        seen.append((config.method, config.output.bits))
        yield from one_image(stream, config)

    serve(blob_scan, stage, parameters={"output.bits": 16})
    assert seen == [("gridding", 16)]


def test_an_encoding_space_that_the_header_does_not_describe(blob_scan):
    blob_scan.header_xml = blob_scan.header_xml.split("<encoding>")[0] + "</ismrmrdHeader>"
    (error,) = serve(blob_scan, one_image)
    assert "describes 0 encoding spaces" in error


def test_a_noise_scan_alone_is_an_error(blob_scan):
    del blob_scan.items[1:]
    (error,) = serve(blob_scan, images)
    assert "no imaging readouts: 1 are noise" in error


def test_silence_of_the_host_reaches_the_client(blob_scan):
    """After as long as the configuration says, not after the default of a minute."""
    configuration = GRIDDING.replace(b"</c", b'<property name="max_idle_seconds" value="0.3"/></c')
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host, gadget = Wire.from_socket(ours, PATIENCE_S), Wire.from_socket(theirs)
        host.send(blob_scan.items[0])
        serve_scan(gadget, parse_header(blob_scan.header_xml.encode()), configuration, one_image)
        gadget.send_close()
        (error,) = host
    assert "silent for 0.3 s" in error


def test_a_record_tells_what_made_the_images():
    record, config = ScanRecord(), Config(method="grasp")

    def add(method, series):
        image = ismrmrd.Image.from_array(np.ones((2, 3), np.uint16), transpose=False)
        image.meta = ismrmrd.Meta({"method": method})
        image.image_series_index = series
        record.add(image, config)

    for method, series in (("gridding", 1), ("grasp", 2), ("gridding", 11), ("subspace", 12)):
        add(method, series)
    assert record.images == {("gridding", "gridding"): 2, ("grasp", "grasp"): 1, ("subspace", "grasp"): 1}
    assert record.figures()["rung"] == "subspace in place of grasp"
    record.seconds = {"sending": 2.0, "receiving": 1.0}
    assert "4 items sent in 0.00 s (receiving 1.00 s, sending 2.00 s), method subspace in" in str(record)


def test_a_host_that_dies_leaves_no_thread(blob_scan, caplog):
    before = threading.active_count()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<H", 1008) + b"half a header")
        ours.close()
        serve_scan(
            Wire.from_socket(theirs, 5), parse_header(blob_scan.header_xml.encode()), GRIDDING, one_image
        )
    assert "within a message" in caplog.text
    assert threading.active_count() == before
