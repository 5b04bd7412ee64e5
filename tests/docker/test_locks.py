"""What the images install is what the project asks for, pinned, and for one CUDA."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {"cpu": ("3.11", []), "cuda": ("3.11", ["cuda"]), "gadgetron": ("3.10", ["cuda"])}
"""Python of the base image and extras, as ``docker/lock`` has them, beside those of all images."""
ALWAYS = ["dask", "mp4", "twix"]
RENEW = "run docker/lock"


def pins(path: Path) -> dict[str, Version]:
    found = re.findall(r"^([a-z0-9-]+)==(\S+) \\$", path.read_text(), re.MULTILINE)
    return {name: Version(version) for name, version in found}


def wanted(name: str) -> list[Requirement]:
    python, extras = LOCKS[name]
    texts = [*PROJECT["dependencies"]]
    texts += [text for extra in ALWAYS + extras for text in PROJECT["optional-dependencies"][extra]]
    requirements = [Requirement(text) for text in texts]
    environment = {"python_version": python}
    return [each for each in requirements if each.marker is None or each.marker.evaluate(environment)]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned(name):
    pinned = pins(DOCKER / name / "requirements.lock")
    for requirement in wanted(name):
        assert requirement.name.lower() in pinned, RENEW
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), RENEW


def test_the_builder_is_pinned():
    assert {"hatchling", "cyclonedx-bom"} <= pins(DOCKER / "tools.lock").keys()


@pytest.mark.parametrize(
    "path", sorted(DOCKER.rglob("*.lock")), ids=lambda path: str(path.relative_to(DOCKER))
)
def test_every_pin_has_hashes_and_no_address(path):
    text = path.read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(path)) >= 10
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize("name", ["cuda", "gadgetron"])
def test_torch_cupy_and_cufinufft_are_for_one_cuda(name):
    pinned = pins(DOCKER / name / "requirements.lock")
    assert {"torch", "cupy-cuda12x", "cufinufft", "nvidia-cuda-runtime-cu12"} <= pinned.keys()
    assert pinned["nvidia-cuda-runtime-cu12"].release[:2] == (12, 8)
    assert not [package for package in pinned if re.search(r"cu1[013-9]$|cuda1[013-9]x$", package)]


def test_the_cpu_image_has_no_cuda():
    pinned = pins(DOCKER / "cpu/requirements.lock")
    assert pinned["torch"].local == "cpu"
    assert not [package for package in pinned if package.startswith(("nvidia", "cuda", "triton"))]
