"""What peers cannot do: reach the daemon unasked, name files, load code, or be parsed at great expense."""

from __future__ import annotations

import ast
import json
import os
import socket
from pathlib import Path

import psutil
import pytest

from gadgets.replay.config_xml import config_folders
from gadgets.serve.settings import config_of
from gadgets.wire.header import parse_header
from gadgets.wire.wire import Session
from python_recon.errors import ConfigError

ROOT = Path(__file__).parents[3]
BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"


def test_it_listens_on_loopback_only(daemon):
    listening = psutil.Process(daemon.process.pid).net_connections("inet")
    addresses = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
    ports = {each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN}
    assert addresses <= {"127.0.0.1", "::1"}
    assert ports == {daemon.port, daemon.connect_port, daemon.health_port, daemon.float_port}


def test_peers_that_are_not_on_the_list(daemon):
    """All of loopback reaches the doors; two addresses are let in."""
    with socket.create_connection(("127.0.0.1", daemon.port), 10, source_address=("127.0.0.2", 0)) as peer:
        assert peer.recv(1) == b""
    assert daemon.lines("127.0.0.2 is not on the list of allowed peers")


@pytest.mark.parametrize(
    "name", ["/etc/hosts", "../pyproject", "..\\x", "radial_preview.xml/../radial_preview"]
)
def test_names_do_not_leave_the_folders_of_configurations(daemon, new_scan, name):
    """Not even to where they came from, as a name with a detour would."""
    assert f"no configuration {name!r}" in daemon.serve(new_scan(), name=name).error
    assert all(folder.is_absolute() for folder in config_folders())


def test_a_file_beside_the_daemon_is_no_configuration(daemon, new_scan):
    (daemon.log_path.parent / "mine.xml").write_text("<configuration/>")
    assert "no configuration 'mine.xml'" in daemon.serve(new_scan(), name="mine.xml").error


@pytest.mark.parametrize("option", ["checkpoint", "resume", "tensorboard"])
@pytest.mark.parametrize("way", ["json", "xml", "parameter"])
def test_peers_name_no_files(blob_scan, tmp_path, option, way):
    path = str(tmp_path / "file.safetensors")
    text = json.dumps({"method": "nik", "options": {option: path}}) if way == "json" else ""
    if way == "xml":
        text = f'<configuration><property name="method" value="nik"/><property name="options.{option}" '
        text += f'value="{path}"/></configuration>'
    parameters = {"config": "radial_nik", f"options.{option}": path} if way == "parameter" else {}
    header = parse_header(blob_scan.header_xml.encode())
    with pytest.raises(ConfigError, match=f"options.{option} names a file of the machine"):
        config_of(Session(header, text.encode(), parameters=parameters))


def test_peers_take_no_more_threads_than_there_are_cores(blob_scan):
    header = parse_header(blob_scan.header_xml.encode())
    assert config_of(Session(header, b'{"threads": 100000}')).threads == os.cpu_count()
    assert config_of(Session(header, b'{"threads": 1}')).threads == 1


def test_methods_come_from_installed_packages_only(daemon, new_scan):
    """Neither a module by its name nor a package that lies in the working folder."""
    for method in ("lying_about", "os:system", "bad_methods:RAISING"):
        config = f'<configuration><property name="method" value="{method}"/></configuration>'
        assert f"{method!r}" in daemon.serve(new_scan(), config).error


def test_entities_are_not_expanded(daemon, new_scan):
    scan = new_scan()
    scan.header_xml = scan.header_xml.replace("<ismrmrdHeader", f"{BOMB}<ismrmrdHeader", 1)
    assert "EntitiesForbidden" in daemon.serve(scan).error
    config = f'{BOMB}<configuration><property name="method" value="&b;"/></configuration>'
    assert "EntitiesForbidden" in daemon.serve(new_scan(), config).error


PICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
LOADING = {"torch.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec"}


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_nothing_is_unpickled():
    """No module of ours loads pickles, or calls what may do so.

    From daemon to worker, multiprocessing itself hands over the start of a process, with no byte of a peer.
    """
    for path in [*(ROOT / "gadgets").rglob("*.py"), *(ROOT / "python_recon").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        assert not PICKLING & set(_imports(tree)), path
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            assert ast.unparse(call.func) not in LOADING, path
            allowed = [ast.unparse(each.value) for each in call.keywords if each.arg == "allow_pickle"]
            assert allowed in ([], ["False"]), path
