"""How the daemon starts and ends, and whom it refuses."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def begun(start_daemon, new_scan, tmp_path):
    """A daemon, and a client whose scan is half sent."""
    scan = new_scan("half")
    with start_daemon(tmp_path, "--max-scans", "1") as daemon, daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:40])
        daemon.worker_of("half")
        yield daemon, client, scan


def test_termination_lets_scans_finish(begun, patiently):
    """Also where it reaches all processes, as from supervisors that signal a whole group.

    Before that, a scan too many is refused.
    """
    daemon, client, scan = begun
    assert "1 scans are in progress" in daemon.serve(scan).error
    family = psutil.Process(daemon.process.pid).children(recursive=True)
    daemon.process.send_signal(signal.SIGTERM)
    for process in family:
        process.terminate()
    assert "draining" in daemon.page_when("/readyz", 503)
    assert daemon.lines(f"gadgetron-pisco {version('gadgetron-pisco')}")
    patiently(lambda: daemon.lines("no longer accepting"), "the doors were to close")
    with pytest.raises(ConnectionRefusedError):
        daemon.connect()
    client.send(scan.items[40:])
    client.wire.send_close()
    outcome = client.receive()
    client.socket.close()
    assert len(outcome.images) == 2
    assert outcome.is_closed
    assert daemon.process.wait(60) == 0
    assert not psutil.wait_procs(family, 60)[1]


def test_a_terminal_that_closes_lets_scans_finish(begun, patiently):
    daemon, client, scan = begun
    for process in [daemon.process, *psutil.Process(daemon.process.pid).children(recursive=True)]:
        process.send_signal(signal.SIGHUP)
    patiently(lambda: daemon.lines("no longer accepting"), "the doors were to close")
    client.send(scan.items[40:])
    client.wire.send_close()
    assert len(client.receive().images) == 2
    client.socket.close()
    assert daemon.process.wait(60) == 0


def test_a_second_interrupt_ends_at_once(begun, patiently):
    daemon, client, _ = begun
    daemon.process.send_signal(signal.SIGINT)
    patiently(lambda: daemon.lines("no longer accepting"), "the doors were to close")
    assert daemon.end(signal.SIGINT) == 130
    assert "the server was ended, and this scan with it" in client.receive().error


def test_a_daemon_that_is_killed_leaves_nothing(begun):
    daemon, client, _ = begun
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert client.receive().break_off


def test_many_who_say_nothing_cost_nobody_a_scan(start_daemon, new_scan, tmp_path):
    """Not even where they are more than the files that the daemon may open."""
    with start_daemon(tmp_path) as daemon, ExitStack() as stack:
        _, most = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (daemon.n_files + 24, most))
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port), 20))
        outcome = daemon.serve(new_scan())
        assert not outcome.errors
        assert len(outcome.images) == 2
        assert daemon.end() == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [(["--allow", "here"], "--allow"), (["--host", "127.0.0.1"], "does a daemon run already?")],
)
def test_it_does_not_start(options, text):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [Path(sys.executable).with_name("gadgetron-pisco"), "serve", "--health-port", "0"]
        command += ["--connect-port", "0", "--port", port, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr
