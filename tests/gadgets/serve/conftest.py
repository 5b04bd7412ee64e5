"""A daemon for many tests, and what they send to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import ismrmrd
import pytest

from tests.serving import daemon_process, free_ports, wait_until

CONFIGS = Path(__file__).parents[3] / "configs_xml"


@pytest.fixture(scope="session")
def start_daemon():
    return daemon_process


@pytest.fixture(scope="session")
def method_folder(tmp_path_factory):
    """Methods that go wrong, as another package would bring them: on the path and in its entry points."""
    names = ("raising", "giving_nan", "never_ending", "never_converging", "greedy", "dying", "shouting")
    return _package(tmp_path_factory.mktemp("methods"), *names)


def _package(folder, *names):
    """The same as what pip leaves of a package with these methods."""
    metadata = folder / "bad_methods-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-methods\nVersion: 1.0\n")
    points = "".join(f"{name} = bad_methods:{name.upper()}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[python_recon.methods]\n{points}")
    shutil.copy(Path(__file__).with_name("bad_methods.py"), folder)
    return folder


@pytest.fixture(scope="session")
def shared_daemon(start_daemon, method_folder, tmp_path_factory):
    """One daemon for many tests; it computes one scan at a time and has little patience.

    A package that is not installed lies about in its working folder.
    """
    folder = tmp_path_factory.mktemp("daemon")
    _package(folder, "lying_about")
    (port,) = free_ports(1)
    float_config = folder / "float.xml"
    text = (CONFIGS / "radial_grasp_float.xml").read_text()
    in_time = '<property name="preview_deadline_s" value="600"/>'
    float_config.write_text(text.replace("<property", f"{in_time}<property", 1))
    connect = ("--connect", f"{port}={float_config}")
    patience = ["--jobs", "1", "--max-idle", "2.5", "--grace", "4", "--fair-share", "600"]
    options = (*connect, *patience, "--allow", "127.0.0.1", "--allow", "::1")
    with start_daemon(folder, *options, PYTHONPATH=str(method_folder)) as daemon:
        daemon.float_port = port
        yield daemon
        assert daemon.end() == 0


@pytest.fixture
def daemon(shared_daemon, new_scan):
    """The shared daemon; after the test it has to be at rest, and to serve the next scan."""
    yield shared_daemon
    wait_until(shared_daemon.is_at_rest, "the daemon was to be at rest")
    outcome = shared_daemon.serve(new_scan("afterwards"))
    assert len(outcome.images) == 2
    assert outcome.is_closed
    assert not outcome.errors


@pytest.fixture(scope="session")
def new_scan(new_blob_scan):
    """Makes scans of two frames with a measurement id of their own."""

    def make(measurement="blob", slices=(0,)):
        scan = new_blob_scan()
        scan.header_xml = scan.header_xml.replace(">blob<", f">{measurement}<")
        scan.items[1:] = [_of_slice(item, number) for number in slices for item in scan.items[1:]]
        return scan

    return make


def _of_slice(item, number):
    other = ismrmrd.Acquisition(item.getHead(), item.data.copy(), item.traj)
    other.idx.slice = number
    return other


@pytest.fixture(scope="session")
def patiently():
    return wait_until
