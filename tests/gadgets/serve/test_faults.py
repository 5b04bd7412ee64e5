"""What goes wrong at the client's side: each scan has one outcome, and the next works.

That nothing is left and that the next scan works is checked after each test by the fixture ``daemon``.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import time

import ismrmrd
import numpy as np
import pytest

HEADER, ACQUISITION = 3, 1008
METHOD = """<configuration><property name="method" value="{}"/><property name="preview" value="{}"/>
<property name="preview_deadline_s" value="600"/>
<property name="max_recon_seconds" value="1"/></configuration>"""


def acquisition_bytes(item):
    return bytes(item.getHead()) + item.traj.tobytes() + item.data.tobytes()


# The client


def test_a_client_that_leaves_within_a_message(daemon, new_scan, patiently):
    scan = new_scan("leaving")
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:20])
        client.socket.sendall(struct.pack("<H", ACQUISITION) + acquisition_bytes(scan.items[20])[:500])
    patiently(lambda: daemon.lines("within a message", "leaving"), "a line of log")


def test_a_client_that_leaves_without_a_close(daemon, new_scan, patiently):
    scan = new_scan("gone")
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items)
    patiently(lambda: daemon.lines("failed: StreamError", "gone"), "a line of log")


def test_a_client_that_is_killed(daemon, new_scan, patiently):
    scan = new_scan("killed client")
    code = (
        "import socket, sys, time; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
        "s.sendall(sys.stdin.buffer.read()); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(daemon.port)]
    text = scan.header_xml.encode()
    greeting = struct.pack("<HI", HEADER, len(text)) + text
    readouts = [struct.pack("<H", ACQUISITION) + acquisition_bytes(item) for item in scan.items[:30]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(greeting + b"".join(readouts))
        process.stdin.close()
        process.stdout.readline()
        daemon.worker_of("killed client")
        process.kill()
    patiently(lambda: daemon.lines("failed: StreamError", "killed client"), "a line of log")


def test_a_slow_reader_has_its_images(daemon, new_scan):
    """It takes a little at a time, of more than the sockets hold."""
    scan = new_scan()
    config = '{"method": "gridding", "matrix": 320, "output.dtype": "complex64", "max_idle_seconds": 2,'
    config += '"binning.spokes_per_frame": 8, "field_of_view_scale": 1}'
    with daemon.connect() as client:
        client.greet(scan, config)
        client.send(scan.items)
        client.wire.send_close()
        outcome = client.receive(pause_s=0.1)
    assert outcome.is_closed
    assert len(outcome.images) == 9


def test_a_slow_sender_has_its_images(daemon, new_scan):
    scan = new_scan()
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:-1])
        raw = struct.pack("<H", ACQUISITION) + acquisition_bytes(scan.items[-1]) + struct.pack("<H", 4)
        for start in range(0, len(raw), 400):
            client.socket.sendall(raw[start : start + 400])
            time.sleep(0.05)
        outcome = client.receive()
    assert len(outcome.images) == 2
    assert outcome.is_closed


def test_a_client_that_takes_nothing(daemon, new_scan, patiently):
    """It does not keep the device; what it reads in the end breaks off."""
    scan = new_scan("taking nothing")
    config = '{"method": "gridding", "matrix": 512, "output.dtype": "complex64", "max_idle_seconds": 1,'
    config += '"binning.spokes_per_frame": 4, "field_of_view_scale": 1}'
    with daemon.connect() as client:
        client.greet(scan, config)
        client.send(scan.items)
        client.wire.send_close()
        patiently(lambda: daemon.lines("took no data for 1 s", "taking nothing"), "the daemon was to give up")
        outcome = client.receive()
    assert len(outcome.images) < 17
    assert outcome.break_off


@pytest.mark.parametrize("n_bytes", [1, 40])
def test_half_a_header(daemon, new_scan, n_bytes):
    text = new_scan().header_xml.encode()
    with daemon.connect() as client:
        client.socket.sendall((struct.pack("<HI", HEADER, len(text)) + text)[:n_bytes])
        assert "silent for 2.5 s" in client.receive().error


def test_silence_within_a_scan(daemon, new_scan):
    scan = new_scan()
    config = METHOD.format("gridding", "gridding").replace("max_recon_seconds", "max_idle_seconds")
    with daemon.connect() as client:
        client.greet(scan, config)
        client.send(scan.items[:40])
        assert "silent for 1 s" in client.receive().error


def test_what_came_before_a_pause_is_reconstructed(daemon, new_scan):
    """The method's images, too, and then the error that names the pause."""
    scan = new_scan()
    config = METHOD.format("cg_sense", "none").replace("max_recon_seconds", "max_idle_seconds")
    with daemon.connect() as client:
        client.greet(scan, config)
        client.send(scan.items[:60])
        outcome = client.receive()
    assert "silent for 1 s" in outcome.error
    assert "the images are those of what came until then" in outcome.error
    assert [image.meta["method"] for image in outcome.images] == ["cg_sense"] * 2


def test_a_client_that_says_nothing(daemon):
    with daemon.connect() as client:
        outcome = client.receive()
    assert not outcome.is_closed
    assert not outcome.errors


@pytest.mark.parametrize(
    ("rubbish", "text"),
    [
        (struct.pack("<H", 999), "message id 999"),
        (struct.pack("<HI", 2, 20) + b"<configuration/>    ", "message id 2"),
        (struct.pack("<H", 1) + b"radial_preview".ljust(1024, b"\0"), "message id 1"),
        (struct.pack("<HI", 5, 0xFFFFFFFF), "claims 4294967295 bytes"),
        (b"GET / HTTP/1.1\r\nHost: scanner\r\n\r\n" * 4000, "message id"),
    ],
    ids=["unknown id", "config", "config name", "4 GB", "garbage"],
)
def test_rubbish_within_a_scan(daemon, new_scan, rubbish, text):
    scan = new_scan()
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:10])
        client.socket.sendall(rubbish)
        assert text in client.receive().error


@pytest.mark.parametrize(
    ("rubbish", "text"),
    [
        (np.random.default_rng(5).bytes(100_000), "a header (3) was expected"),
        (struct.pack("<HI", 3, 0xFFFFFFFF), "claims 4294967295 bytes"),
        (struct.pack("<HI", 3, 9) + b"<nothing>", "not valid XML"),
        (2 * (struct.pack("<HI", 2, 16) + b"<configuration/>"), "a header (3) was expected"),
    ],
    ids=["garbage", "4 GB", "no XML", "two configs"],
)
def test_rubbish_in_front_of_a_scan(daemon, rubbish, text):
    with daemon.connect() as client:
        client.socket.sendall(rubbish)
        assert text in client.receive().error


def test_a_readout_of_impossible_size(daemon, new_scan):
    scan = new_scan()
    head = scan.items[5].getHead()
    head.active_channels = 60_000
    with daemon.connect() as client:
        client.greet(scan)
        client.socket.sendall(struct.pack("<H", ACQUISITION) + bytes(head))
        assert "claims 60000 channels" in client.receive().error


def test_compressed_readouts(daemon, new_scan):
    scan = new_scan()
    head = scan.items[5].getHead()
    head.flags |= 1 << (ismrmrd.ACQ_COMPRESSION1 - 1)
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:5])
        client.socket.sendall(struct.pack("<H", ACQUISITION) + bytes(head) + bytes(500))
        assert "switch off compression" in client.receive().error


def test_a_trajectory_of_the_wrong_size(daemon, new_scan):
    """Headers announce three coordinates, two are sent: the stream gets out of step."""
    scan = new_scan()
    with daemon.connect() as client:
        client.greet(scan)
        for item in scan.items[1:20]:
            head = ismrmrd.AcquisitionHeader.from_buffer_copy(bytes(item.getHead()))
            head.trajectory_dimensions = 3
            body = item.traj.tobytes() + item.data.tobytes()
            client.socket.sendall(struct.pack("<H", ACQUISITION) + bytes(head) + body)
        client.wire.send_close()
        assert client.receive().error


def test_a_scan_that_is_announced_as_too_large(daemon, new_scan):
    """It is refused at its first readout, not when the memory is full."""
    scan = new_scan()
    with daemon.connect() as client:
        client.greet(scan, '{"method": "cg_sense", "max_host_gb": 0.001}')
        client.send(scan.items[:1])
        assert "scan that the header announces" in next(iter(client.wire))
        client.wire.send_close()
        outcome = client.receive()
    assert outcome.is_closed
    assert not outcome.images + outcome.errors
