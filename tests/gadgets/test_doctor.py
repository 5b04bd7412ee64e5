from __future__ import annotations

import importlib.metadata

import pytest
import torch

import gadgets.doctor
from gadgets.doctor import Finding, examine


def _by_subject() -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine()}


def test_this_installation_has_what_is_essential():
    findings = _by_subject()
    assert all(finding.is_ok for finding in findings.values() if finding.is_essential)
    assert findings["numpy"].found == importlib.metadata.version("numpy")
    assert {"Python", "torch", "ismrmrd", "GPU", "methods", "temporary space"} <= findings.keys()
    assert "hypothesis" not in findings
    assert findings["processor"].found.endswith(f"instructions {torch.backends.cpu.get_cpu_capability()}")
    assert findings["torch threads"].found.startswith(f"{torch.get_num_threads()} of")


def test_everything_missing_comes_with_a_cure(monkeypatch):
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gadgets.doctor, "version", version)
    monkeypatch.setattr(gadgets.doctor, "installed_configs", dict)
    missing = [finding for finding in examine() if not finding.is_ok]
    assert {"numpy", "torch", "Gadgetron configurations"} <= {finding.subject for finding in missing}
    assert all(finding.cure for finding in missing)


def test_a_full_disk_is_told(monkeypatch):
    usage = type("Usage", (), {"free": 1e6})
    monkeypatch.setattr(gadgets.doctor.shutil, "disk_usage", lambda _folder: usage)
    assert not _by_subject()["temporary space"].is_ok


@pytest.mark.cuda
def test_the_cuda_libraries_import():
    findings = _by_subject()
    if not findings["GPU"].is_ok:
        pytest.skip("no GPU that torch can use")
    assert findings["cupy"].is_ok
    assert findings["cufinufft"].is_ok
