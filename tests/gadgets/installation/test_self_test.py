"""The installation's own tests tell good from bad."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gadgets.installation import self_test
from gadgets.serve.health import Health


@contextmanager
def health(trouble):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Health("127.0.0.1", port, lambda: trouble, lambda: "")
    try:
        yield port
    finally:
        server.stop()


def test_the_phantom_is_reconstructed():
    finding = self_test.reconstruction()
    assert finding.is_ok, finding
    assert finding.is_essential


def test_a_broken_library_is_told(monkeypatch, tmp_path):
    (tmp_path / "finufft.py").write_text("raise ImportError('libfftw3 is gone')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = self_test.reconstruction()
    assert not finding.is_ok
    assert "libfftw3 is gone" in finding.found
    assert finding.cure


def test_the_python_that_gadgetron_would_start_is_tried(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    finding = self_test.gadgetron()
    assert finding.is_ok, finding
    assert str(Path(sys.executable).parent) in finding.found
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho No module named gadgetron >&2; exit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    finding = self_test.gadgetron()
    assert not finding.is_ok
    assert f"{other}: the gadget gadgets.radial.reconstruct ended with status 1" in finding.found
    assert "No module named gadgetron" in finding.found
    assert "first on the PATH" in finding.cure


def test_wrong_images_are_told():
    finding = self_test.judged(0.33)
    assert not finding.is_ok
    assert finding.found == "error 33 % of the truth"
    assert "expected at most 20 %" in finding.cure


@pytest.mark.parametrize("trouble", ["", "draining: no new scans"])
def test_a_daemon_is_asked(trouble):
    with health(trouble) as port:
        finding = self_test.daemon(port)
    assert finding.is_ok == (not trouble)
    assert (trouble or f"health port {port}") in finding.found


def test_no_daemon_is_told():
    with health("") as port:
        pass
    finding = self_test.daemon(port)
    assert not finding.is_ok
    assert "nothing answers" in finding.found
