"""What the Dockerfiles promise: no root, an init, a health check, pins, and commands that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from tests.docker.conftest import IMAGES
from tests.docker.dockerfile import Dockerfile

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@pytest.mark.parametrize("path", [DOCKER / "Dockerfile", DOCKER / "gadgetron/Dockerfile"])
def test_hadolint_has_nothing_to_say(path):
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "path",
    [DOCKER / name for name in ("install", "lock", "openrecon/package", "gadgetron/entrypoint")],
)
def test_scripts_are_executable_and_parse(path):
    assert path.stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", path], check=True)


def test_bases_are_the_public_ones(any_image):
    """Each by its tag, which the builder may bind to a digest."""
    stages = {re.search(r" AS (\w+)$", base)[1] for base in any_image.values("FROM") if " AS " in base}
    bases = {base.split(" ")[0] for base in any_image.values("FROM")} - stages
    assert bases <= {"python:3.11-slim-bookworm${BASE_DIGEST}", "${GADGETRON}"}
    assert set(any_image.values("ARG")) <= {
        'BASE_DIGEST=""',
        'TORCH_INDEX=""',
        "GADGETRON=ghcr.io/gadgetron/gadgetron/gadgetron_ubuntu_rt_cuda:latest",
    }
    assert any_image.lines[0] == 'ARG BASE_DIGEST=""'


def test_nothing_runs_as_root(any_image):
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", any_image.values("USER")[-1])


def test_tini_is_the_first_process(any_image):
    first, dashes, *_ = any_image.words("ENTRYPOINT")
    assert (Path(first).name, dashes) == ("tini", "--")


def commands_of(image: Dockerfile) -> list[str]:
    """What is run when it is built, in the script, too."""
    commands = [part.strip() for line in image.values("RUN") for part in line.split("&&")]
    script = (DOCKER / "install").read_text().replace("\\\n", " ").splitlines()
    return commands + (script if "/tmp/install program" in commands else [])


def test_packages_are_pinned_by_hashes(any_image):
    installs = [command for command in commands_of(any_image) if re.search(r"pip install ", command)]
    assert len(installs) == 3
    for command in installs:
        assert "--require-hashes -r " in command or "--no-deps /wheel/" in command


def test_what_is_copied_is_in_the_build_context(any_image):
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [line for line in any_image.values("COPY") if "--from" not in line]
    sources = [word for line in copies for word in line.split()[:-1] if not word.startswith("--")]
    assert len(sources) >= 8
    for source in sources:
        assert list(ROOT.glob(source)), source
        assert Path(source).parts[0] in allowed


def test_the_health_check_reconstructs(image):
    program, *arguments = image.health_check
    assert (program, arguments) == ("gadgetron-pisco", ["doctor", "--reconstruct"])
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


def test_what_runs_by_default_is_a_command(image):
    assert image.words("ENTRYPOINT")[-1] == "gadgetron-pisco"
    done = CliRunner().invoke(app, [*image.words("CMD"), "--help"])
    assert done.exit_code == 0, done.output
    assert "MRD clients" in done.stdout


def test_the_bill_of_materials_is_made(any_image):
    (command,) = (command for command in commands_of(any_image) if "cyclonedx-py" in command)
    assert "share/sbom/" in command or "COPY --from=tools /tmp/python.cdx.json" in "".join(any_image.lines)


def test_each_device_has_its_own_packages_and_only_cuda_asks_for_gpus():
    """Or a runtime that gives GPUs to whoever asks refuses the image for CPUs where there are none."""
    for device, other in (("cpu", "cuda"), ("cuda", "cpu")):
        lines = IMAGES[device].lines
        assert f"COPY docker/{device}/requirements.lock /tmp/" in lines
        assert not any(f"docker/{other}/" in line for line in lines)
        assert any("NVIDIA_VISIBLE_DEVICES" in line for line in lines) == (device == "cuda")


def test_a_build_that_names_no_target_is_for_cpus():
    """It needs no GPU, and is the smaller one."""
    stages = Dockerfile(DOCKER / "Dockerfile").values("FROM")
    assert stages[-1] == "program AS cpu"
