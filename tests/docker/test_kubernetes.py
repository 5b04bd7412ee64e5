"""The manifests are legal, and speak of the daemon as it is."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.serve.daemon import Options
from gadgets.serve.health import Health
from python_recon.config import load_config

FOLDER = Path(__file__).parents[2] / "docker/kubernetes"
VERSION = "1.30"
MONITOR = {
    "type": "object",
    "required": ["selector", "endpoints"],
    "additionalProperties": False,
    "properties": {
        "selector": {"type": "object", "required": ["matchLabels"]},
        "endpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {name: {"type": "string"} for name in ("port", "path", "interval")},
            },
        },
    },
}
"""What is used of the specification of a ServiceMonitor."""


def manifest(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def pod():
    return manifest("deployment")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.mark.parametrize("name", ["deployment", "service"])
def test_the_schema_of_kubernetes_is_obeyed(name):
    kubernetes_validate.validate(manifest(name), VERSION, strict=True)


def test_the_schema_refuses_slips():
    slip = manifest("deployment")
    slip["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(slip, VERSION, strict=True)


def test_the_monitor_watches_the_service():
    monitor, service = manifest("servicemonitor"), manifest("service")
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "ServiceMonitor")
    jsonschema.validate(monitor["spec"], MONITOR)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_service_leads_to_the_daemon(container):
    service, deployment = manifest("service"), manifest("deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["type"] == "ClusterIP"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    defaults = Options()
    expected = {"mrd": defaults.mrd_port, "connect": defaults.gadgetron_port, "health": defaults.health_port}
    assert ports == expected
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == expected


def test_the_daemon_starts_with_these_arguments_and_is_reachable(container):
    done = CliRunner().invoke(app, [*container["args"], "--help"])
    assert done.exit_code == 0
    for option in ("--host", "--health-host"):
        assert container["args"][container["args"].index(option) + 1] == "0.0.0.0"


def test_probes_and_monitor_ask_for_pages_that_there_are(container):
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    paths.add(manifest("servicemonitor")["spec"]["endpoints"][0]["path"])
    assert paths == {"/readyz", "/healthz", "/metrics"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    health = Health("0.0.0.0", port, lambda: "", lambda: "")
    try:
        for path in paths:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                assert answer.status == 200
    finally:
        health.stop()


def test_scans_may_finish_before_the_pod_ends(pod, container):
    assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"
    spare_s = Options().grace_s + int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= load_config().max_recon_seconds + spare_s


def test_the_pod_needs_no_rights(pod, container):
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
