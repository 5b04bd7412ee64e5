"""The configurations that reach the daemon by ``<connect>``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from gadgets.files.mrd_file import ScanFile
from gadgets.replay.client import Server, open_server
from gadgets.replay.config_xml import parse_config
from gadgets.replay.host import open_chain
from gadgets.replay.properties import properties_of
from gadgets.replay.replay import replay
from gadgets.serve.defaults import Defaults
from gadgets.serve.settings import config_of
from gadgets.wire.header import parse_header
from gadgets.wire.pump import Timeouts
from gadgets.wire.wire import Session
from python_recon.config import load_config
from python_recon.errors import ConfigError

FOLDER = Path(__file__).parents[3] / "configs_xml"
PATIENCE = Timeouts(30.0, 60.0)


@pytest.mark.parametrize("method", ["grasp", "preview"])
def test_they_run_what_their_execute_versions_run(method):
    ours = parse_config((FOLDER / f"radial_{method}_connect.xml").read_text(), method)
    theirs = parse_config((FOLDER / f"radial_{method}.xml").read_text(), method)
    ((node,), (executed,)) = ours.nodes, theirs.nodes
    assert (node.address, node.port) == ("localhost", 18000)
    assert properties_of(node.configuration.encode()) == properties_of(executed.configuration.encode())


def test_the_distributed_one():
    path = FOLDER / "radial_grasp_distributed_connect.xml"
    with pytest.raises(ConfigError, match="needs a Gadgetron server for NoiseAdjustGadget, distributed"):
        parse_config(path.read_text(), path.name)
    (distributed,) = parse(path).getroot().findall("stream/distributed")
    assert [item.tag for item in distributed] == ["readers", "writers", "distributor", "stream"]
    (external,) = distributed.findall("stream/external")
    assert external.find("configuration") is None
    port = int(external.find("connect").get("port"))
    (option,) = re.findall(r"\d+=\w+", path.read_text())
    config = load_config(Defaults.from_names(None, [option]).of(port))
    assert (config.method, config.output.dtype) == ("grasp", "float32")
    assert not config.noise.prewhiten


@pytest.mark.parametrize(
    ("everywhere", "by_port", "text"),
    [
        ("radial_grsap", [], "did you mean 'radial_grasp.xml'"),
        (None, ["18001"], "expected a port and a configuration, as in 18001=radial_grasp_float"),
        (None, ["99999=radial_grasp"], "expected a port"),
        ("radial_two_stage_grasp", [], "has 2 nodes"),
        ("radial_buckets", [], "needs a Gadgetron server"),
    ],
)
def test_defaults_that_cannot_run_keep_the_daemon_from_starting(everywhere, by_port, text):
    with pytest.raises(ConfigError, match=text):
        Defaults.from_names(everywhere, by_port)


def test_the_embedded_host_reaches_the_daemon(daemon, scan_path):
    text = (FOLDER / "radial_preview_connect.xml").read_text().replace("18000", str(daemon.connect_port))
    images = []
    with ScanFile(scan_path) as scan, open_chain(parse_config(text, "c"), scan.header_xml, PATIENCE) as peers:
        outcome = replay(scan, peers, images.append, 60.0, lambda _stage, _done: None)
    assert outcome.error is None
    assert len(images) == 2


def test_a_client_as_replay_has_one_reaches_the_daemon(daemon, scan_path):
    images = []
    server = Server("127.0.0.1", daemon.port, config_name="radial_preview.xml")
    with ScanFile(scan_path) as scan, open_server(server, scan.header_xml, PATIENCE) as peers:
        outcome = replay(scan, peers, images.append, 60.0, lambda _stage, _done: None)
    assert outcome.error is None
    assert len(images) == 2


def test_no_module_is_loaded_by_name(blob_scan):
    text = b"""<configuration><stream><external>
    <execute type="python" name="sample_gadgets" target="exits"/></external></stream></configuration>"""
    session = Session(parse_header(blob_scan.header_xml.encode()), config_text=text)
    with pytest.raises(ConfigError, match=r"configuration runs sample_gadgets\.exits;"):
        config_of(session)
