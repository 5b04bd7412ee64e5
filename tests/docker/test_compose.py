"""Gadgetron and the daemon find each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from defusedxml.ElementTree import parse
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.serve.daemon import Options

PATH = Path(__file__).parents[2] / "docker/compose.yaml"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(PATH.read_text())


@pytest.fixture(scope="module")
def daemon(compose):
    return compose["services"]["pisco"]


def test_the_schema_of_compose_is_obeyed():
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, PATH], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_configurations_connect_to_where_the_daemon_listens(compose, daemon):
    assert daemon["network_mode"] == "service:gadgetron"
    names = {each["source"] for each in compose["services"]["gadgetron"]["configs"]}
    assert names == compose["configs"].keys() == {"preview", "grasp"}
    for config in compose["configs"].values():
        connect = parse(PATH.parent / config["file"]).find("stream/external/connect")
        assert connect.get("address", "localhost") == "localhost"
        assert int(connect.get("port")) == Options().gadgetron_port


def test_gadgetron_finds_them_under_their_names(compose):
    for each in compose["services"]["gadgetron"]["configs"]:
        assert Path(each["target"]).name == Path(compose["configs"][each["source"]]["file"]).name
        assert Path(each["target"]).parent.as_posix().endswith("share/gadgetron/config")


def test_the_daemon_leaves_gadgetrons_port_alone(daemon):
    done = CliRunner().invoke(app, [*daemon["command"], "--help"])
    assert done.exit_code == 0
    assert daemon["command"][daemon["command"].index("--port") + 1] == "0"


def test_the_health_check_asks_the_daemon(daemon):
    program, *arguments = daemon["healthcheck"]["test"][1:]
    assert program == "gadgetron-pisco"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    assert arguments == ["doctor", "--daemon", str(Options().health_port)]


def test_what_a_site_relies_on(compose, daemon):
    for service in compose["services"].values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]
    (device,) = daemon["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert (PATH.parent / daemon["build"]["context"] / daemon["build"]["dockerfile"]).is_file()
    volumes = {text.partition(":")[0] for text in daemon["volumes"]}
    assert volumes == compose["volumes"].keys()
