"""From what a client says in front of its scan to the configuration that runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gadgets.openrecon.label import CONFIG_NAME, settings_of
from gadgets.replay.config_xml import find_installed, read_text
from gadgets.replay.from_data import node_from_data, refuse_files
from gadgets.replay.properties import parse_value, properties_of
from gadgets.wire.wire import Session
from python_recon.config import Config, load_config
from python_recon.errors import ConfigError

_DECLARATION = re.compile(rb"<\?xml[^<>]*\?>")


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
    refuse_files(config.options, load_config(installed).options)
    if config.threads is None:
        return config
    return config.model_copy(update={"threads": min(config.threads, os.cpu_count() or 1)})


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
    try:
        node = node_from_data(text.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not valid UTF-8: {error}") from error
    return properties_of(node.configuration.encode())


def _parsed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Scanners send numbers and truth values as text."""
    return {key: parse_value(value) if isinstance(value, str) else value for key, value in parameters.items()}
