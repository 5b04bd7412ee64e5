"""A daemon in a process of its own, and clients that see everything it sends."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from gadgets.wire.messages import ErrorText
from gadgets.wire.wire import Wire
from python_recon.errors import StreamError

PATIENCE_S = 60.0
"""For anything on a busy machine; nothing takes that long where all is well."""
GRIDDING = """<configuration><property name="method" value="gridding"/>
<property name="binning.spokes_per_frame" value="34"/></configuration>"""

SOAK = """<configuration><property name="method" value="cg_sense"/>
<property name="options.iterations" value="2"/></configuration>"""


def wait_until(condition, what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)
    return found


def free_ports(count):
    """Ports for a daemon that is still to be started.

    They lie below those that systems give to connections, one of which could have taken them by then.
    """
    ports = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


@dataclass
class Outcome:
    """What a client got, and when it was over."""

    images: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    is_closed: bool = False
    """Whether a CLOSE came; else the stream broke off."""
    break_off: str = ""

    @property
    def error(self):
        """The one error."""
        assert len(self.errors) == 1, self
        assert self.is_closed
        return str(self.errors[0])


class Client:
    """A client whose socket is at hand, too."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), PATIENCE_S)
        self.wire = Wire.from_socket(self.socket, PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def greet(self, scan, config=GRIDDING, name=None):
        if name is not None:
            self.wire.send_config_file(name)
        elif config is not None:
            self.wire.send_config_text(config)
        self.wire.send_header(scan.header_xml)

    def send(self, items):
        for item in items:
            self.wire.send(item)

    def receive(self, pause_s=0.0):
        """All that comes until the end, with a pause after each message."""
        outcome = Outcome()
        try:
            for item in self.wire:
                time.sleep(pause_s)
                (outcome.errors if isinstance(item, ErrorText) else outcome.images).append(item)
            outcome.is_closed = True
        except StreamError as error:
            outcome.break_off = str(error)
        return outcome

    def converse(self, scan, config=GRIDDING, name=None):
        """A whole scan; data are sent while images come."""

        def feed():
            with suppress(StreamError):
                self.greet(scan, config, name)
                self.send(scan.items)
                self.wire.send_close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        outcome = self.receive()
        feeder.join()
        return outcome


class DaemonProcess:
    """``gadgetron-pisco serve`` and what can be seen of it; it works in a folder of its own."""

    def __init__(self, folder, *options, **environment):
        self.scratch = Path(tempfile.mkdtemp())  # not in the folder: the path of a socket must be short
        self.runtime = Path(tempfile.mkdtemp())
        self.connect_port, self.port, self.health_port = free_ports(3)
        self.log_path = folder / "serve.log"
        ports = {"--connect-port": self.connect_port, "--port": self.port, "--health-port": self.health_port}
        command = [Path(sys.executable).with_name("gadgetron-pisco"), "serve"]
        command += [str(each) for pair in ports.items() for each in pair] + list(options)
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                env={
                    **os.environ,
                    "TMPDIR": str(self.scratch),
                    "XDG_RUNTIME_DIR": str(self.runtime),
                    **environment,
                },
            )
        self.page_when("/readyz", 200)
        us = psutil.Process(self.process.pid)
        self.n_threads, self.n_files = us.num_threads(), us.num_fds()

    def serve(self, scan, config=GRIDDING, name=None, port=None, host="127.0.0.1"):
        with Client(port or self.port, host) as client:
            return client.converse(scan, config, name)

    def connect(self):
        return Client(self.port)

    def page(self, path):
        """Status and text; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def page_when(self, path, status):
        def has_come():
            assert self.process.poll() is None, self.log_path.read_text()
            return self.page(path)[0] == status

        wait_until(has_come, f"{path} was to say {status}")
        return self.page(path)[1]

    def metric(self, name):
        lines = self.page("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split()[0] == name)

    @property
    def log(self):
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def lines(self, text, measurement=None):
        return [
            line
            for line in self.log
            if text in line["message"] and measurement in (None, line["measurement"])
        ]

    def worker_of(self, measurement):
        """The process that serves a measurement, as soon as it does."""
        (line, *_) = wait_until(lambda: self.lines("begun by", measurement), f"{measurement} was to begin")
        return psutil.Process(int(line["message"].rsplit(" ", 1)[1]))

    def workers(self):
        us = psutil.Process(self.process.pid)
        return [worker for child in us.children() for worker in child.children()]

    def is_at_rest(self):
        """No scan, no connection, one idle worker, not a thread or file more than in the beginning."""
        us = psutil.Process(self.process.pid)
        if us.num_threads() > self.n_threads or us.num_fds() > self.n_files:
            return False
        n_peers = sum(each.status == psutil.CONN_ESTABLISHED for each in us.net_connections("inet"))
        n_scans = self.metric("gadgetron_pisco_scans_in_progress")
        return n_scans == 0 and n_peers == 0 and len(self.workers()) == 1

    def has_warm_worker(self):
        (worker,) = self.workers()
        return any(line["message"].endswith(f", process {worker.pid}") for line in self.lines("is ready on"))

    def end(self, signal_number=signal.SIGTERM):
        """The exit status; afterwards no process that it started and no file of it is left.

        Only where it is killed its socket stays, which the next one removes.
        """
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal_number)
        status = self.process.wait(PATIENCE_S)
        _, left = psutil.wait_procs(family, PATIENCE_S)
        assert not left
        assert not list(self.scratch.iterdir())
        assert signal_number == signal.SIGKILL or not [*self.runtime.rglob("*.sock")]
        return status


@contextmanager
def daemon_process(folder, *options, **environment):
    daemon = DaemonProcess(folder, *options, **environment)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            family = psutil.Process(daemon.process.pid).children(recursive=True)
            daemon.process.kill()
            daemon.process.wait()
            psutil.wait_procs(family, PATIENCE_S)  # they tidy up behind it
        shutil.rmtree(daemon.scratch)
        shutil.rmtree(daemon.runtime)


def soak(daemon, scans, n_first, n_scans):
    """MiB that the resting daemon and its processes hold after the first scans, and after all of them.

    Every tenth client leaves within a message.
    """
    held = []
    for number in range(n_scans):
        scan = scans[number % len(scans)]
        if number % 10 == 9:
            with daemon.connect() as client:
                client.greet(scan)
                client.send(scan.items[:5])
                client.socket.sendall(struct.pack("<H", 1008) + b"half a header")
        else:
            outcome = daemon.serve(scan, SOAK)
            assert outcome.is_closed, outcome.break_off
            assert not outcome.errors
        if number + 1 in (n_first, n_scans):
            held.append(_resting_mib(daemon))
    return tuple(held)


def _resting_mib(daemon):
    """Of daemon, fork server and the warm worker that waits."""
    wait_until(lambda: daemon.is_at_rest() and daemon.has_warm_worker(), "the daemon was to be at rest")
    us = psutil.Process(daemon.process.pid)
    return sum(each.memory_info().rss for each in (us, *us.children(recursive=True))) / 2**20
