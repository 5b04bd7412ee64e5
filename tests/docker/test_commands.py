"""What the READMEs tell to type for containers names files, arguments, ports and programs that there are."""

from __future__ import annotations

import re
import shlex
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.simulation.scan import SimulateOptions, simulate
from tests.docker.conftest import IMAGES
from tests.docker.dockerfile import Dockerfile
from tests.readme import ROOT, command, commands, shell

LINES = [
    line
    for path in ("README.md", "docker/README.md", "docker/openrecon/README.md")
    for line in commands((ROOT / path).read_text())
]
TAKES_A_VALUE = {"-f", "-t", "-v", "-p", "--target", "--build-arg", "--build-context", "--name", "--gpus"}


def beginning(start: str) -> list[str]:
    found = [line for line in LINES if line.startswith(start)]
    assert found
    return found


class Typed:
    """A command of Docker, taken apart."""

    def __init__(self, line: str, n_verbs: int = 2) -> None:
        self.options: list[tuple[str, str]] = []
        words = iter(shlex.split(line)[n_verbs:])
        self.rest = []
        for word in words:
            if word in TAKES_A_VALUE and not self.rest:
                self.options.append((word, next(words)))
            else:
                self.rest.append(word)

    def values(self, option: str) -> list[str]:
        return [value for name, value in self.options if name == option]


def name_of(typed: Typed) -> str:
    """What a build makes: a target of the first Dockerfile, or the image of a folder."""
    folder = Path(typed.values("-f")[0]).parent.name
    (target,) = typed.values("--target") or ["cpu"]
    return target if folder == "docker" else folder


def image_of(tag: str) -> Dockerfile:
    """The image that the READMEs build under a tag."""
    built = [Typed(line) for line in beginning("docker build ")]
    (name,) = {name_of(typed) for typed in built if typed.values("-t") == [tag]}
    return IMAGES[name]


@pytest.mark.parametrize("line", beginning("docker build "))
def test_builds_name_files_and_arguments_that_there_are(line):
    typed = Typed(line)
    (path,), (tag,) = typed.values("-f"), typed.values("-t")
    assert typed.rest == ["."]
    assert tag == f"gadgetron-pisco:{name_of(typed)}"
    image = Dockerfile(ROOT / path)
    for argument in typed.values("--build-arg"):
        name = argument.partition("=")[0]
        assert name in {default.partition("=")[0] for default in image.values("ARG")}
        assert any(f"${{{name}}}" in line for line in image.lines)


@pytest.mark.parametrize("line", beginning("docker run -p "))
def test_published_ports_are_those_that_the_image_serves(line):
    typed = Typed(line)
    (tag, *arguments), (port,) = typed.rest, typed.values("-p")
    image = image_of(tag)
    assert port.rpartition(":")[2] in image.values("EXPOSE")[0].split()
    assert not arguments, "the image serves where nothing is said"
    assert image.words("CMD")[0] == "serve"


def test_the_image_replays_what_is_mounted(tmp_path):
    """The entry point with the arguments of the README, ``/data`` being a folder of the test."""
    typed = Typed(command("docker run -v "))
    (volume,) = typed.values("-v")
    (tag, *arguments), place = typed.rest, volume.rpartition(":")[2]
    image = image_of(tag)
    assert place in image.values("WORKDIR")
    options = SimulateOptions(matrix=24, coils=2, frames=2, spokes_per_frame=5, seed=3)
    simulate(tmp_path / "x.h5", options)
    words = [word.replace(f"{place}/", f"{tmp_path}/") for word in arguments]
    shell(shlex.join([*image.words("ENTRYPOINT")[2:], *words]), tmp_path)
    assert (tmp_path / "y.h5").exists()


def test_compose_is_given_its_file():
    typed = Typed(command("docker compose "))
    (path,) = typed.values("-f")
    services = yaml.safe_load((ROOT / path).read_text())["services"]
    assert typed.rest == ["up", "--build"]
    (built,) = (service["build"] for service in services.values() if "build" in service)
    image = Dockerfile((ROOT / path).parent / built["context"] / built["dockerfile"])
    assert set(built["args"]) <= {default.partition("=")[0] for default in image.values("ARG")}


def test_kubectl_finds_manifests_only():
    folder = ROOT / command("kubectl apply -f ").split()[-1]
    kinds = {yaml.safe_load(path.read_text())["kind"] for path in folder.iterdir()}
    assert kinds == {"Deployment", "Service", "ServiceMonitor"}
    pod = yaml.safe_load((folder / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    assert image_of(pod["containers"][0]["image"]).words("ENTRYPOINT")[-1] == "gadgetron-pisco"


def test_images_that_are_run_or_packed_are_built():
    named = set(re.findall(r"\bgadgetron-pisco:\w+", "\n".join(LINES)))
    for tag in named:
        assert image_of(tag).values("FROM")


def test_the_chroot_starts_a_program_of_the_image():
    (line,) = beginning("sudo chroot ")
    program = line.split("/usr/bin/env ")[1].split()[1:]
    copied = " ".join(image_of("gadgetron-pisco:cpu").values("COPY"))
    assert str(Path(program[0]).parents[1]) in copied
    assert CliRunner().invoke(app, [*program[1:], "--help"]).exit_code == 0


def test_one_command_makes_the_openrecon_package(tmp_path):
    engine = tmp_path / "engine"
    engine.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("engine.py")} "$@"\n')
    engine.chmod(0o755)
    (line,) = beginning("docker/openrecon/package ")
    shell(f"{ROOT}/{line}", tmp_path, ENGINE=str(engine))
    name = f"OpenRecon_mysite_gadgetronpisco_V{version('gadgetron-pisco')}"
    with zipfile.ZipFile(tmp_path / "packages" / f"{name}.zip") as archive:
        assert archive.namelist() == [f"{name}.tar", f"{name}.pdf"]
