from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest
import torch

import gadgets.installation.doctor
from gadgets.installation.doctor import Finding, examine


def _by_subject() -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine()}


def test_this_installation_has_what_is_essential():
    findings = _by_subject()
    assert all(finding.is_ok for finding in findings.values() if finding.is_essential)
    assert findings["numpy"].found == importlib.metadata.version("numpy")
    assert {"Python", "torch", "ismrmrd", "GPU", "NUFFT", "methods", "temporary space"} <= findings.keys()
    assert findings["processor"].found.endswith(f"instructions {torch.backends.cpu.get_cpu_capability()}")
    assert findings["torch threads"].found.startswith(f"{torch.get_num_threads()} of")
    assert "hypothesis" not in findings


def test_everything_missing_comes_with_a_cure(monkeypatch):
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gadgets.installation.doctor, "version", version)
    monkeypatch.setattr(gadgets.installation.doctor, "installed_configs", dict)
    missing = [finding for finding in examine() if not finding.is_ok]
    assert {"numpy", "torch", "Gadgetron configurations"} <= {finding.subject for finding in missing}
    assert all(finding.cure for finding in missing)


def test_a_full_disk_is_told(monkeypatch):
    usage = type("Usage", (), {"free": 1e6})
    monkeypatch.setattr(gadgets.installation.doctor.shutil, "disk_usage", lambda _folder: usage)
    assert not _by_subject()["temporary space"].is_ok


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_it_says_which_nufft_runs():
    assert _by_subject()["NUFFT"].found == "finufft, on the CPU"
    on_gpu = gadgets.installation.doctor._cuda_nufft()
    assert not on_gpu.is_ok
    assert on_gpu.found.startswith("the built-in gridder: cufinufft needs a CUDA device")


@pytest.mark.parametrize(("cuda", "told"), [("12.8", "14.2 for CUDA 12"), ("13.0", "Torch for CUDA 13.0")])
def test_a_cupy_for_another_cuda_than_torch_is_told(monkeypatch, cuda, told):
    runtime = SimpleNamespace(runtimeGetVersion=lambda: 12080)
    cupy = SimpleNamespace(__version__="14.2", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    found = gadgets.installation.doctor._cupy(cuda)
    assert found.is_ok
    assert found.found.split(": ")[0].endswith(told)


@pytest.mark.cuda
def test_the_cuda_libraries_import():
    findings = _by_subject()
    assert findings["cupy"].is_ok
    assert findings["NUFFT"].found.startswith("cufinufft")
