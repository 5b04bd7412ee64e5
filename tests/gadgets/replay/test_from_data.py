"""Configurations that came with a scan: they choose settings, and nothing else of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest

from gadgets.files.mrd_file import CONFIG, ScanFile
from gadgets.replay.config_xml import ExternalNode
from gadgets.replay.from_data import node_from_data
from gadgets.replay.route import Choice, embedded_config, server_at
from gadgets.wire.wire import Session
from python_recon.errors import ConfigError
from tests.gadgets.cli.test_cli import run

WHOLE = "<configuration><version>2</version><stream>{}</stream></configuration>"
OURS = '<execute type="python" name="gadgets.radial" target="reconstruct"/>'


def node(start, properties=""):
    return f"<external>{start}<configuration>{properties}</configuration></external>"


def scan_with(scan_path, folder, text):
    path = Path(shutil.copy(scan_path, folder / "scan.h5"))
    with h5py.File(path, "a") as file:
        file["dataset"].create_dataset(CONFIG, data=[text.encode()])
    return path


@pytest.mark.parametrize(
    "nodes",
    [
        node('<execute type="python" name="evil" target="run"/>'),
        node('<execute type="python" name="gadgets.radial" target="run_gadget"/>'),
        node(OURS) + node(OURS),
    ],
)
def test_no_other_code_is_run(scan_path, tmp_path, nodes):
    with ScanFile(scan_with(scan_path, tmp_path, WHOLE.format(nodes))) as scan:
        for choose in (embedded_config, lambda choice: server_at("localhost", 1, choice)):
            with pytest.raises(ConfigError, match=r"what comes with data runs one node.*replay -c"):
                choose(Choice(session=scan.session))


def test_nobody_is_called():
    found = node_from_data(WHOLE.format(node('<connect address="198.51.100.7" port="9"/>')), "it")
    assert (found.module, found.target, found.port) == ("gadgets.radial", "reconstruct", None)


@pytest.mark.parametrize("option", ["checkpoint", "resume", "tensorboard"])
def test_no_file_is_named(scan_path, tmp_path, option):
    properties = f'<property name="method" value="nik"/><property name="options.{option}" value="/tmp/x"/>'
    with ScanFile(scan_with(scan_path, tmp_path, WHOLE.format(node(OURS, properties)))) as scan:
        with pytest.raises(ConfigError, match=f"options.{option} names a file"):
            embedded_config(Choice(session=scan.session))
        properties = {"method": "nik", f"options.{option}": "/tmp/x"}
        chosen = Choice(name="radial_nik", settings=properties)
        assert "/tmp/x" in embedded_config(chosen).nodes[0].configuration


def test_settings_and_installed_names_are_taken(scan_path, tmp_path):
    text = '<configuration><property name="method" value="gridding"/></configuration>'
    with ScanFile(scan_with(scan_path, tmp_path, text)) as scan:
        (found,) = embedded_config(Choice(session=scan.session)).nodes
    assert found == ExternalNode(text, "gadgets.radial", "reconstruct")
    named = Session(scan.header, config_file="radial_nik.xml")
    assert embedded_config(Choice(session=named)).name == "radial_nik.xml"
    with pytest.raises(ConfigError, match="a path"):
        server_at("localhost", 1, Choice(session=Session(scan.header, config_file="../x.xml")))


def test_a_module_in_the_working_folder_is_no_library(scan_path, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    for name in ("numpy", "gadgetron", "ismrmrd"):
        (tmp_path / f"{name}.py").write_text(f"open({str(trace)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert run("replay", "-f", scan_path, "-c", "radial_preview", "-o", "images.h5").exit_code == 0
    assert not trace.exists()
