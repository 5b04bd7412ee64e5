"""Executed gadgets hand their scans to a daemon of the same user, version and settings, and to no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from gadgets.handover import door
from gadgets.wire.messages import ErrorText
from gadgets.wire.wire import Wire
from python_recon.errors import ConfigError
from tests.serving import daemon_process, wait_until

PATIENCE_S = 60


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with daemon_process(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon
        assert daemon.end() == 0


@pytest.fixture
def runtime(monkeypatch, tmp_path_factory):
    """A runtime folder of its own for this process; its path is short, as those of sockets must be."""
    place = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    return place


def _has_room(daemon):
    wait_until(daemon.has_warm_worker, "a worker was to be warm")
    return {"XDG_RUNTIME_DIR": str(daemon.runtime)}


def test_the_images_are_those_of_the_gadget_alone(daemon, run_gadget, blob_scan):
    asked = {"method": "cg_sense", "preview_deadline_s": 600}
    alone = run_gadget(blob_scan, variables={"GADGETRON_PISCO_HANDOVER": "no"}, **asked)
    handed = run_gadget(blob_scan, variables=_has_room(daemon), **asked)
    assert f"handed over to the daemon of this machine, process {daemon.process.pid}" in handed.log
    assert "handed over" not in alone.log
    assert len(handed.items) == len(alone.items) > 0
    for ours, theirs in zip(handed.items, alone.items, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
        assert ours.meta.keys() == theirs.meta.keys()
        assert _without_length(ours.getHead()) == _without_length(theirs.getHead())
    assert (handed.errors, handed.after_close, handed.exit_status) == ([], b"", 0)
    assert daemon.lines("is served by process")[-1]["message"].startswith("a gadget in process")


def _without_length(head):
    """Of the attributes, which tell how long things took."""
    head.attribute_string_len = 0
    return bytes(head)


def test_errors_come_through(daemon, run_gadget, blob_scan):
    blob_scan.items = blob_scan.items[:6]
    outcome = run_gadget(blob_scan, method="gridding", variables=_has_room(daemon))
    (error,) = outcome.errors
    assert "5 readouts fill no frame" in error
    assert outcome.after_close == b""


def test_settings_are_refused_as_without_a_daemon(daemon, run_gadget, blob_scan):
    outcome = run_gadget(blob_scan, methd="gridding", variables=_has_room(daemon))
    (error,) = outcome.errors
    assert "did you mean 'method'" in error
    assert "this scan is not for a daemon" in outcome.log


def test_a_configuration_that_names_files_stays_with_the_gadget(daemon, run_gadget, blob_scan, tmp_path):
    blob_scan.items = blob_scan.items[:6]
    options = {"method": "nik", "options.checkpoint": str(tmp_path / "none.pt")}
    outcome = run_gadget(blob_scan, variables=_has_room(daemon), **options)
    assert "handed over" not in outcome.log


@pytest.mark.parametrize("variables", [{"CUDA_VISIBLE_DEVICES": ""}, {"GADGETRON_PISCO_CAPTURE": "/nowhere"}])
def test_other_settings_are_another_daemon(daemon, run_gadget, blob_scan, variables):
    outcome = run_gadget(blob_scan, method="gridding", variables={**_has_room(daemon), **variables})
    assert "no daemon of this user, version and settings" in outcome.log
    assert len(outcome.items) == 2
    assert not outcome.errors


def _start(daemon, configuration):
    """A gadget as Gadgetron starts it, our end of its connection, and the scan's configuration sent."""
    with socket.create_server(("localhost", 0)) as server:
        server.settimeout(PATIENCE_S)
        command = [sys.executable, "-m", "gadgetron", str(server.getsockname()[1])]
        environment = {**os.environ, "GADGETRON_EXTERNAL_LOG_LEVEL": "INFO", **_has_room(daemon)}
        process = subprocess.Popen(
            [*command, "gadgets.radial", "reconstruct"], env=environment, stderr=subprocess.DEVNULL
        )
        connection, _ = server.accept()
    wire = Wire.from_socket(connection, PATIENCE_S)
    wire.send_config_text(configuration)
    return process, connection, wire


GRIDDING = '<configuration><property name="method" value="gridding"/></configuration>'


def test_a_daemon_that_dies_within_a_scan_is_a_clear_error(tmp_path, blob_scan):
    with daemon_process(tmp_path) as daemon:
        process, connection, wire = _start(daemon, GRIDDING)
        with process, connection:
            wire.send_header(blob_scan.header_xml)
            for item in blob_scan.items[:40]:
                wire.send(item)
            daemon.worker_of("blob")
            daemon.process.kill()
            time.sleep(0.5)
            for item in blob_scan.items[40:]:
                wire.send(item)
            wire.send_close()
            received = list(wire)
            assert process.wait(PATIENCE_S) == 0
        (error,) = [item for item in received if isinstance(item, ErrorText)]
        assert f"the daemon of this machine, process {daemon.process.pid}" in error
        assert "log" in error


def test_a_client_that_leaves_takes_its_scan_along(daemon, blob_scan):
    process, connection, wire = _start(daemon, GRIDDING)
    with process:
        with connection:
            wire.send_header(blob_scan.header_xml)
            for item in blob_scan.items[:20]:
                wire.send(item)
            wait_until(lambda: daemon.metric("gadgetron_pisco_scans_in_progress") == 1, "it was to begin")
        wait_until(lambda: daemon.metric("gadgetron_pisco_scans_in_progress") == 0, "it was to end")
        process.wait(PATIENCE_S)


def test_a_full_or_a_silent_daemon_is_not_waited_for(runtime):
    with door.LocalDoor("0123456789abcdef", lambda: False) as local:
        assert door.call("0123456789abcdef") is None  # nobody accepts
        assert local.accept() is None
    assert not [*runtime.rglob("*.sock")]


def test_the_folder_is_the_users_alone(runtime):
    with door.LocalDoor("0123456789abcdef", lambda: True):
        place = door.folder()
        assert place.parent == runtime
        assert place.stat().st_mode & 0o777 == 0o700
        place.chmod(0o755)
        assert door.call("0123456789abcdef") is None
        with pytest.raises(ConfigError, match="with mode 755; expected"):
            door.LocalDoor("fedcba9876543210", lambda: True)


def test_a_link_in_place_of_the_folder_is_refused(runtime, tmp_path):
    (runtime / "gadgetron-pisco").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        door.LocalDoor("0123456789abcdef", lambda: True)


def test_what_killed_daemons_left_is_removed(runtime):
    with door.LocalDoor("0123456789abcdef", lambda: True):
        pass
    dead = next(number for number in range(4_000_000, 1, -1) if not psutil.pid_exists(number))
    left = door.folder() / f"0123456789abcdef-{dead}.sock"
    left.touch()
    with door.LocalDoor("0123456789abcdef", lambda: True):
        assert not left.exists()
