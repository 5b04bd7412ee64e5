"""From what a client says in front of its scan to the configuration that runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from gadgets.openrecon.label import CONFIG_NAME, settings_of
from gadgets.replay.config_xml import find_installed, parse_config, read_text
from gadgets.replay.properties import parse_value, properties_of
from gadgets.wire.wire import Session
from python_recon.config import Config, load_config
from python_recon.errors import ConfigError

_RECONSTRUCTING = ("gadgets.radial", "gadgets.recon_data")
"""What a daemon runs in place of: modules are never loaded by name."""
_DECLARATION = re.compile(rb"<\?xml[^<>]*\?>")
_FILES = ("checkpoint", "resume", "tensorboard")
"""Options of methods that name files."""


def config_of(session: Session, default: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """The configuration of a scan.

    The peer may name an installed configuration (as its configuration or as the parameter ``config``), or
    send one: a whole Gadgetron configuration, the ``<configuration>`` of one external node, or JSON text
    with settings. Parameters override it, by the names of settings or by their ids in OpenRecon.

    Parameters
    ----------
    default
        Settings in place of a configuration that is missing or empty, as it is where Gadgetron distributes a
        scan: what it then sends in place of a node's ``<configuration>`` is the declaration of an XML
        document, and nothing else.

    Raises
    ------
    ConfigError
        Where there is no such configuration, it is not one that the daemon can run, or the peer names files.
    """
    parameters = settings_of(_parsed(session.parameters))
    name = str(parameters.pop("config", "") or session.config_file)
    if name and name != CONFIG_NAME:
        path = find_installed(name)
        settings = installed = _settings_of_xml(read_text(path).encode(), path.name)
    else:
        settings, installed = _settings_of_text(session.config_text.strip(b"\0 \r\n\t")), {}
        if not settings:
            settings = installed = dict(default)
    config = load_config(settings, parameters)
    _refuse_files(config.options, load_config(installed).options)
    if config.threads is None:
        return config
    return config.model_copy(update={"threads": min(config.threads, os.cpu_count() or 1)})


def _refuse_files(options: Mapping[str, Any], installed: Mapping[str, Any]) -> None:
    """Peers read and write no files of this machine; installed configurations may."""
    for name in _FILES:
        if options.get(name, "") != installed.get(name, ""):
            raise ConfigError(
                f"options.{name} names a file of the machine that runs the daemon: that is for an installed "
                "configuration to say, or for `gadgetron-pisco replay`"
            )


def _settings_of_text(text: bytes) -> dict[str, Any]:
    if text.startswith(b"{"):
        return _settings_of_json(text)
    if not text or _DECLARATION.fullmatch(text):
        return {}
    return _settings_of_xml(text, "the client's configuration")


def _settings_of_json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the configuration is not valid JSON: {error}") from error
    settings = found.get("parameters", found)
    if not isinstance(settings, dict):
        raise ConfigError(f"the configuration's parameters are {settings!r}, expected names and values")
    return settings_of(_parsed(settings))


def _settings_of_xml(text: bytes, name: str) -> dict[str, Any]:
    root = _parse(text, name)
    if root.find("stream") is None:
        return properties_of(root)
    nodes = parse_config(text.decode("utf-8", "replace"), name).nodes
    if len(nodes) > 1 or (nodes[0].port is None and nodes[0].module not in _RECONSTRUCTING):
        found = ", ".join(node.name for node in nodes)
        raise ConfigError(
            f"{name} runs {found}; the daemon runs configurations of one node, gadgets.radial or <connect>. "
            "Send the scan to a Gadgetron server, or use `gadgetron-pisco replay`"
        )
    return properties_of(nodes[0].configuration.encode())


def _parse(text: bytes, name: str) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ConfigError(f"{name} is not valid XML: {error!r}") from error
    return root


def _parsed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Scanners send numbers and truth values as text."""
    return {key: parse_value(value) if isinstance(value, str) else value for key, value in parameters.items()}
