"""What the daemon does for clients of every kind, where all is well."""

from __future__ import annotations

import json
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from gadgets.wire.messages import Text
from tests.serving import soak, wait_until

FIT = """<configuration><property name="method" value="{}"/><property name="preview_deadline_s" value="600"/>
<property name="max_recon_seconds" value="{}"/></configuration>"""
"""On a busy machine the client is as slow as a scanner: previews would be left out."""
PARAMETERS = {"method": "gridding", "binning.spokes_per_frame": "17"}


def peaks(outcome):
    assert not outcome.errors
    assert outcome.is_closed
    return [
        tuple(map(int, np.unravel_index(image.data[0, 0].argmax(), image.data.shape[2:])))
        for image in outcome.images
    ]


def test_gadgetron_connects(daemon, new_scan):
    scan = new_scan("from gadgetron")
    outcome = daemon.serve(scan, port=daemon.connect_port)
    assert peaks(outcome) == [scan.peak] * 2
    (summary,) = daemon.lines("readouts received", "from gadgetron")
    assert "69 readouts received, 2 items sent" in summary["message"]
    assert "method gridding" in summary["message"]


def test_a_client_names_a_configuration(daemon, new_scan):
    scan = new_scan()
    assert peaks(daemon.serve(scan, name="radial_preview.xml")) == [scan.peak] * 2
    assert peaks(daemon.serve(scan, name="radial_preview_connect")) == [scan.peak] * 2


def test_a_client_sends_a_configuration_for_gadgetron(daemon, new_scan):
    scan = new_scan()
    text = (Path(__file__).parents[3] / "configs_xml" / "radial_preview.xml").read_text()
    assert peaks(daemon.serve(scan, text)) == [scan.peak] * 2


def test_a_client_sends_json(daemon, new_scan):
    scan = new_scan()
    assert len(peaks(daemon.serve(scan, json.dumps({"parameters": PARAMETERS})))) == 4


def test_parameters_after_the_header_override(daemon, new_scan):
    scan = new_scan()
    with daemon.connect() as client:
        client.greet(scan, name="radial_grasp")
        client.wire.send(Text(json.dumps({"parameters": PARAMETERS | {"config": "radial_preview"}})))
        client.send(scan.items)
        client.wire.send_close()
        assert len(peaks(client.receive())) == 4


def test_texts_end_in_nul(daemon, new_scan):
    scan = new_scan("nul")
    header = scan.header_xml.encode() + b"\0"
    with daemon.connect() as client:
        client.socket.sendall(b"\x01\x00" + b"radial_preview".ljust(1024, b"\0"))
        client.socket.sendall(struct.pack("<HI", 3, len(header)) + header)
        client.send(scan.items)
        client.wire.send_close()
        assert peaks(client.receive()) == [scan.peak] * 2


def test_ipv6(daemon, new_scan):
    if not daemon.lines("listening on ::1"):
        pytest.skip("no IPv6 here")
    scan = new_scan()
    assert peaks(daemon.serve(scan, host="::1")) == [scan.peak] * 2


@pytest.mark.parametrize(
    ("config", "name", "text"),
    [
        (None, "../../../etc/passwd", "no configuration '../../../etc/passwd'"),
        (None, "radial_grsp", "did you mean"),
        (None, "radial_two_stage_grasp", "what comes with data runs one node"),
        (None, "radial_buckets", "needs a Gadgetron server"),
        ('<configuration><property name="methd" value="x"/></configuration>', None, "'method'"),
        ("<configuration", None, "not well-formed XML"),
        ('{"parameters": 3}', None, "expected names and values"),
        ("{3}", None, "not valid JSON"),
        ('<!DOCTYPE x [<!ENTITY e "e">]><configuration>&e;</configuration>', None, "EntitiesForbidden"),
    ],
)
def test_a_bad_configuration_reaches_the_client(daemon, new_scan, config, name, text):
    assert text in daemon.serve(new_scan(), config, name).error


def test_configurations_change_from_scan_to_scan(daemon, new_scan):
    scan = new_scan()
    assert daemon.serve(scan).images[0].data.dtype == np.uint16
    changed = '{"method": "gridding", "output.dtype": "float32"}'
    assert daemon.serve(scan, changed).images[0].data.dtype == np.float32


def test_a_probe_costs_no_worker(daemon):
    begun = daemon.metric("gadgetron_reconstruction_start_total")
    for _ in range(3):
        daemon.connect().socket.close()
    assert daemon.metric("gadgetron_reconstruction_start_total") == begun


def test_health_and_metrics(daemon, new_scan, patiently):
    patiently(daemon.is_at_rest, "the daemon was to be at rest")
    names = [
        "gadgetron_reconstruction_start_total",
        "gadgetron_reconstruction_finish_total",
        "gadgetron_pisco_readouts_total",
        "gadgetron_pisco_frames_total",
        "gadgetron_pisco_latency_seconds_count",
    ]
    before = [daemon.metric(name) for name in names]
    daemon.serve(new_scan())
    patiently(daemon.is_at_rest, "the daemon was to be at rest again")
    after = [daemon.metric(name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 69, 2, 1]
    assert daemon.page("/healthz") == (200, "ok\n")
    assert daemon.page("/readyz") == (200, "ok\n")
    assert daemon.page("/other")[0] == 404
    assert daemon.metric("gadgetron_pisco_host_memory_bytes") > 1e7


def test_scans_wait_for_the_device_and_keep_their_data(daemon, new_scan, patiently):
    """While one scan computes, the other is received whole and shows its previews; its fit follows."""
    first, second = new_scan("first"), new_scan("second")
    with ExitStack() as stack:
        one = stack.enter_context(daemon.connect())
        one.greet(first, FIT.format("never_converging", 2))
        one.send(first.items)
        one.wire.send_close()
        patiently(lambda: daemon.lines("readouts, 1 of them noise", "first"), "the first was to compute")
        other = stack.enter_context(daemon.connect())
        other.greet(second, FIT.format("cg_sense", 60))
        other.send(second.items)
        other.wire.send_close()
        patiently(
            lambda: daemon.lines("waits for the device, position 1", "second"), "the second was to wait"
        )
        assert daemon.metric("gadgetron_pisco_queue_depth") == 1
        assert peaks(other.receive()) == [second.peak] * 4
        assert peaks(one.receive()) == [first.peak] * 4
    (line,) = daemon.lines("waits for the device", "second")
    assert (line["slice"], line["method"]) == ("slice 0", "cg_sense")
    (summary,) = daemon.lines("readouts received", "second")
    assert summary["scan"]["seconds"]["waiting"] > 0.5


def test_a_slow_acquisition_does_not_keep_the_device(daemon, new_scan):
    """Scans have it only while they compute; a slice whose data are complete is fitted meanwhile."""
    slow, quick = new_scan("slow", slices=(0, 1)), new_scan("quick")
    with daemon.connect() as client:
        client.greet(slow, FIT.format("cg_sense", 60))
        client.send(slow.items[:110])
        outcome = daemon.serve(quick, FIT.format("cg_sense", 60))
        assert peaks(outcome) == [quick.peak] * 4
        assert not daemon.lines("readouts received", "slow")
        client.send(slow.items[110:])
        client.wire.send_close()
        outcome = client.receive()
    assert peaks(outcome) == [slow.peak] * 8
    assert sorted(image.slice for image in outcome.images) == [0] * 4 + [1] * 4


def test_a_line_of_the_log_names_slice_and_method(daemon, new_scan):
    outcome = daemon.serve(new_scan("lines", slices=(0, 3)), FIT.format("raising", 60))
    assert len(outcome.images) == 8
    lines = [line for line in daemon.log if line["measurement"] == "lines"]
    (failure,) = [
        line for line in lines if "raising on cpu failed" in line["message"] and "3" in line["slice"]
    ]
    assert failure["method"] == "raising"
    (summary,) = daemon.lines("readouts received", "lines")
    assert summary["method"] == "raising"
    figures = summary["scan"]
    assert (figures["readouts"], figures["frames"], figures["failure"]) == (137, 8, "")
    assert figures["rung"] == "subspace in place of raising"
    assert figures["peak_memory_mib"] > 10
    stages = {"receiving", "waiting", "previews", "preparation", "coil maps", "method", "sending"}
    assert set(figures["seconds"]) == stages
    spent = 'gadgetron_pisco_stage_seconds_total{stage="method"}'
    wait_until(lambda: daemon.metric(spent) > 0, "the time of the method was to be counted")


def test_previews_that_are_left_out_are_counted(daemon, new_scan, patiently):
    """At the pace of its time stamps a scan comes from a scanner, whose previews are late at once here."""
    scan, name = new_scan("paced"), "gadgetron_pisco_previews_skipped_total"
    before = daemon.metric(name)
    with daemon.connect() as client:
        client.greet(scan, FIT.format("cg_sense", 60).replace('"600"', '"1e-9"'))
        for item in scan.items:
            client.wire.send(item)
            time.sleep(0.012)
        client.wire.send_close()
        assert peaks(client.receive()) == [scan.peak] * 2, "those of the fit"
    patiently(lambda: daemon.metric(name) == before + 2, "the previews of two frames were to be counted")
    (summary,) = daemon.lines("readouts received", "paced")
    assert summary["scan"]["previews_skipped"] == 2


def test_memory_does_not_grow(daemon, new_scan):
    """The benchmark ``soak`` has 500 scans."""
    early, late = soak(daemon, [new_scan("soak"), new_scan("soak", slices=(0, 1))], 3, 15)
    assert late < 1.05 * early


def test_twenty_scans_at_once(daemon, new_scan):
    scans = [new_scan(f"number {number}") for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(lambda scan: daemon.serve(scan, FIT.format("cg_sense", 60)), scans))
    assert [peaks(outcome) for outcome in outcomes] == [[scan.peak] * 4 for scan in scans]
    assert daemon.lines("waits for the device, position 2")
