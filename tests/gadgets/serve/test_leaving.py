"""Clients that leave while their scan waits for the device or computes: their place is free at once."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import contextmanager

import pytest

METHOD = """<configuration><property name="method" value="{}"/><property name="preview" value="{}"/>
<property name="preview_deadline_s" value="600"/>
<property name="max_recon_seconds" value="120"/></configuration>"""
LOST = 'gadgetron_pisco_failures_total{kind="StreamError"}'


def reset(client):
    """Close as a client does that was killed with something unread, or a firewall does for it."""
    if client.socket.fileno() != -1:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()


@pytest.fixture
def computing(daemon, new_scan, patiently, request):
    """A client whose fit has the device, and no end of its own; the next in turn does not wait it out."""
    measurement = f"while {request.node.name} computes"[:64]
    scan = new_scan(measurement)
    with daemon.connect() as client:
        client.greet(scan, METHOD.format("never_converging", "none"))
        client.send(scan.items)
        client.wire.send_close()
        patiently(lambda: daemon.lines("readouts, 1 of them noise", measurement), "the first was to compute")
        patiently(lambda: daemon.metric("gadgetron_pisco_queue_depth") == 0, "it was to have the device")
        client.measurement = measurement
        yield client
        reset(client)


@pytest.fixture
def waiting(daemon, new_scan, patiently, computing):
    """Connects clients whose scans wait for the device; all they have to say is said."""

    @contextmanager
    def connect(measurement, n_items=None, preview="none"):
        scan = new_scan(measurement)
        with daemon.connect() as client:
            client.greet(scan, METHOD.format("cg_sense", preview))
            client.send(scan.items[:n_items])
            client.wire.send_close()
            patiently(lambda: daemon.lines("waits for the device", measurement), "the other was to wait")
            yield client

    return connect


def has_left(daemon, measurement, computing):
    """Whether a scan is over as one of a client that has gone, while the other still computes."""
    assert daemon.lines("begun by", computing.measurement)
    assert not daemon.lines("readouts received", computing.measurement)
    return daemon.lines("failed: StreamError", measurement)


def test_before_its_data_are_complete(daemon, new_scan, patiently, computing):
    scan = new_scan("impatient", slices=(0, 1))
    with daemon.connect() as client:
        client.greet(scan, METHOD.format("cg_sense", "none"))
        client.send(scan.items[:-20])
        patiently(lambda: daemon.lines("waits for the device", "impatient"), "the other was to wait")
    patiently(lambda: has_left(daemon, "impatient", computing), "its scan was to be over")


def test_killed_after_its_close(daemon, patiently, computing, waiting):
    before = daemon.metric(LOST)
    with waiting("killed") as client:
        reset(client)
    patiently(lambda: has_left(daemon, "killed", computing), "its scan was to be over")
    patiently(lambda: daemon.metric("gadgetron_pisco_queue_depth") == 0, "its place was to be free")
    patiently(lambda: daemon.metric(LOST) == before + 1, "it was to be counted")


def test_after_its_close_with_previews_unread(daemon, patiently, computing, waiting):
    with waiting("unread", preview="gridding"):
        patiently(lambda: daemon.metric("gadgetron_pisco_queue_depth") == 1, "it was to wait")
    patiently(lambda: has_left(daemon, "unread", computing), "its scan was to be over")


def test_one_that_has_only_ended_its_own_side_is_served(daemon, patiently, computing, waiting):
    """As programs in a pipe do: what they have to say is said, and they read on."""
    with waiting("half closed", preview="gridding") as client:
        client.socket.shutdown(socket.SHUT_WR)
        with waiting("behind it") as other:
            reset(other)
        patiently(lambda: has_left(daemon, "behind it", computing), "the other was to be over")
        assert daemon.metric("gadgetron_pisco_queue_depth") == 1
        reset(computing)
        outcome = client.receive()
    assert outcome.is_closed
    assert not outcome.errors
    assert len(outcome.images) == 4


def test_while_its_fit_has_the_device(daemon, patiently, computing):
    """The fit is ended, and does not take the two minutes that it may."""
    reset(computing)
    measurement = computing.measurement
    patiently(lambda: daemon.lines("the fit is ended", measurement), "the fit was to be ended")
    patiently(lambda: daemon.lines("failed: StreamError", measurement), "the scan was to be over")


def test_one_that_has_gone_behind_a_server_does_not_keep_the_next(
    start_daemon, method_folder, new_scan, tmp_path
):
    """Gadgetron keeps our connection open whatever became of its client: nothing tells that nobody waits."""
    options = ("--jobs", "1", "--fair-share", "1")
    with (
        start_daemon(tmp_path, *options, PYTHONPATH=str(method_folder)) as daemon,
        daemon.connect() as server,
    ):
        server.greet(new_scan("abandoned"), METHOD.format("never_converging", "none"))
        server.send(new_scan().items)
        server.wire.send_close()
        time.sleep(2)
        started = time.monotonic()
        outcome = daemon.serve(new_scan("next patient"), METHOD.format("cg_sense", "none"))
        assert time.monotonic() - started < 60  # it may compute for two minutes
        assert not outcome.errors
        assert len(outcome.images) == 2
        abandoned = server.receive()
        assert {image.meta["method"] for image in abandoned.images} == {"never_converging"}
        assert "because another scan waited for the device" in abandoned.images[0].meta["ImageComments"]
        assert not abandoned.errors
        assert daemon.end() == 0
