"""Gadgetron configuration XML: found, read, checked for what can run here, overridden."""

from __future__ import annotations

import logging
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

import defusedxml
from defusedxml.ElementTree import fromstring

from python_recon.config import nearest, preset_names
from python_recon.errors import ConfigError

_log = logging.getLogger(__name__)
_KNOWN_READERS = ("AcquisitionReader", "WaveformReader")
_KNOWN_WRITERS = ("ImageWriter",)
_OF_A_METHOD = """<configuration><version>2</version>
<readers><reader><dll>gadgetron_core_readers</dll><classname>AcquisitionReader</classname></reader>
<reader><dll>gadgetron_core_readers</dll><classname>WaveformReader</classname></reader></readers>
<writers><writer><dll>gadgetron_core_writers</dll><classname>ImageWriter</classname></writer></writers>
<stream><external><execute type="python" name="gadgets.radial" target="reconstruct"/>
<configuration><property name="method" value={}/></configuration></external></stream></configuration>
"""


@dataclass(frozen=True)
class ExternalNode:
    """One ``<external>`` element: a process to start, or one that listens already."""

    configuration: str
    """The node's ``<configuration>`` element as text; empty where there is none."""
    module: str = ""
    """Python module to execute; empty for a ``<connect>`` node."""
    target: str = ""
    """Function or class of the module."""
    address: str = "localhost"
    port: int | None = None
    """Port of a ``<connect>`` node; None for one that is executed."""

    @property
    def name(self) -> str:
        return f"{self.module}.{self.target}" if self.port is None else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class StreamConfig:
    """A configuration whose stream holds external nodes only."""

    name: str
    nodes: tuple[ExternalNode, ...]


def config_folders() -> list[Path]:
    """Folders that hold installed configurations, first come first served."""
    folders = [
        Path(__file__).resolve().parents[2] / "configs_xml",
        Path(sys.prefix) / "share" / "gadgetron" / "config",
    ]
    if home := os.environ.get("GADGETRON_HOME"):
        folders.append(Path(home) / "share" / "gadgetron" / "config")
    return [folder for folder in folders if folder.is_dir()]


def installed_configs() -> dict[str, Path]:
    """File name and path of every installed configuration."""
    found: dict[str, Path] = {}
    for folder in config_folders():
        for path in sorted(folder.glob("*.xml")):
            found.setdefault(path.name, path)
    return found


def find_config(name: str) -> Path:
    """The file of a configuration: a path as given, else an installed name with or without ``.xml``.

    Raises
    ------
    ConfigError
        When there is no such file; the nearest installed name is told.
    """
    path = Path(name)
    return path if path.is_file() else find_installed(name)


def find_installed(name: str) -> Path:
    """The file of an installed configuration; never one outside the folders of configurations.

    Those of ours may be named without ``radial_``, all without ``.xml``.
    """
    installed = installed_configs()
    for candidate in (name, f"{name}.xml", f"radial_{name}", f"radial_{name}.xml"):
        if candidate in installed:
            return installed[candidate]
    raise ConfigError(f"no configuration {name!r}: neither a file nor installed{nearest(name, installed)}")


def config_text(name: str) -> tuple[str, str]:
    """Text and name of a configuration: a file, an installed one, or that of a method by its own name.

    Raises
    ------
    ConfigError
        When there is no such configuration or method, or the file cannot be read.
    """
    is_known = Path(name).is_file() or any(
        each in installed_configs() for each in (name, f"{name}.xml", f"radial_{name}.xml")
    )
    if not is_known and name in preset_names():
        return _OF_A_METHOD.format(quoteattr(name)), name
    path = find_config(name)
    return read_text(path), path.name


def read_text(path: Path) -> str:
    """The text of a configuration file; raises ConfigError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error


def parse_config(text: str, name: str) -> StreamConfig:
    """The external nodes of a configuration text; ready to be run by the embedded host.

    Raises
    ------
    ConfigError
        When it is no Gadgetron configuration, or needs a Gadgetron server.
    """
    root = _parse(text, name)
    foreign = [_gadget_name(item) for item in root.iter("gadget")]
    foreign += [item.tag for item in root.iterfind("stream/*") if item.tag not in ("gadget", "external")]
    if foreign:
        raise ConfigError(
            f"{name} needs a Gadgetron server for {', '.join(foreign)}: these are not Python gadgets. "
            "Send the scan to one with -a ADDRESS -p PORT"
        )
    nodes = tuple(_external_node(item, name) for item in root.iterfind("stream/external"))
    if not nodes:
        raise ConfigError(f"{name} has no <external> node in its <stream>: there is nothing to run")
    _check_ends(root, name)
    return StreamConfig(name, nodes)


def is_whole(text: str, name: str) -> bool:
    """Whether a configuration has a stream; else it is the ``<configuration>`` of one node."""
    return _parse(text, name).find("stream") is not None


def override(node: ExternalNode, settings: Mapping[str, str]) -> ExternalNode:
    """The node with some of its properties set to other values."""
    if not settings:
        return node
    element = fromstring(node.configuration or "<configuration/>")
    _override(element, settings)
    return replace(node, configuration=ElementTree.tostring(element, encoding="unicode"))


def override_text(text: str, name: str, settings: Mapping[str, str]) -> str:
    """A configuration with some properties of all its external nodes set to other values."""
    root = _parse(text, name)
    nodes = list(root.iter("external"))
    if settings and not nodes:
        raise ConfigError(f"{name} has no <external> node whose properties could be set")
    for node in nodes if settings else ():
        _override(_configuration_of(node), settings)
    return ElementTree.tostring(root, encoding="unicode") if settings else text


def _parse(text: str, name: str) -> ElementTree.Element:
    try:
        root: ElementTree.Element = fromstring(text)
    except (ElementTree.ParseError, defusedxml.DefusedXmlException, ValueError) as error:
        raise ConfigError(f"{name} is not well-formed XML: {error}") from error
    if root.tag not in ("configuration", "gadgetronStreamConfiguration"):
        raise ConfigError(
            f"{name} is no Gadgetron configuration: its root is <{root.tag}>, not <configuration>"
        )
    return root


def _gadget_name(element: ElementTree.Element) -> str:
    return str(element.findtext("classname") or element.findtext("name") or "an unnamed gadget").strip()


def _external_node(element: ElementTree.Element, name: str) -> ExternalNode:
    inner = element.find("configuration")
    configuration = "" if inner is None else ElementTree.tostring(inner, encoding="unicode").strip()
    if (connect := element.find("connect")) is not None:
        address = connect.get("address", "localhost")
        return ExternalNode(configuration, address=address, port=_port(connect.get("port", ""), name))
    execute = element.find("execute")
    if execute is None:
        raise ConfigError(f"an <external> node of {name} has neither <execute> nor <connect>")
    kind = execute.get("type", "")
    if kind.lower() != "python":
        raise ConfigError(
            f"{name} executes type {kind!r}; only python runs here, others need a Gadgetron server"
        )
    module, target = execute.get("name", ""), execute.get("target", "")
    if not module or not target:
        raise ConfigError(f"an <execute> of {name} needs name (a module) and target (a function)")
    return ExternalNode(configuration, module, target)


def _port(text: str, name: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise ConfigError(f"<connect> of {name} has port {text!r}; expected 1..65535")


def _configuration_of(node: ElementTree.Element) -> ElementTree.Element:
    element = node.find("configuration")
    return ElementTree.SubElement(node, "configuration") if element is None else element


def _override(element: ElementTree.Element, settings: Mapping[str, str]) -> None:
    for item in element.findall("property"):
        if item.get("name", item.findtext("name")) in settings:
            element.remove(item)
    for key, value in settings.items():
        ElementTree.SubElement(element, "property", name=key, value=value)


def _check_ends(root: ElementTree.Element, name: str) -> None:
    """Warn of readers and writers that a Gadgetron server would miss; the host has them built in."""
    readers = [_gadget_name(item) for item in root.iter("reader")]
    writers = [_gadget_name(item) for item in root.iter("writer")]
    missing = [item for item in _KNOWN_READERS if item not in readers]
    missing += [item for item in _KNOWN_WRITERS if item not in writers]
    if missing:
        _log.warning("%s lacks %s: a Gadgetron server would refuse such messages", name, ", ".join(missing))
