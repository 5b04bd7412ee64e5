"""Which configuration a replay runs, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gadgets.replay.client import Server
from gadgets.replay.config_xml import (
    ExternalNode,
    StreamConfig,
    config_text,
    find_installed,
    override,
    override_text,
    parse_config,
    read_text,
)
from gadgets.replay.from_data import node_from_data, refuse_files
from gadgets.replay.properties import properties_of
from gadgets.wire.wire import Session
from python_recon.config import load_config
from python_recon.data import FINAL_SERIES, PREVIEW_SERIES
from python_recon.errors import ConfigError

_OUR_PACKAGE = "gadgets"
_MAKING_IMAGES = ("gadgets.radial", "gadgets.recon_data")
"""Modules whose images have the series that their settings ask for."""


@dataclass(frozen=True)
class Choice:
    """The configuration as the user named it."""

    name: str | None = None
    """A file, an installed name, or the name of a server's own."""
    local: Path | None = None
    """A file."""
    session: Session | None = None
    """What a stream said in front of its items; its configuration serves where no other is named."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Properties of all nodes, overridden."""

    def __post_init__(self) -> None:
        if self.name and self.local:
            raise ConfigError("give one configuration: -c or -C, not both")


def embedded_config(choice: Choice) -> StreamConfig:
    """The configuration that the embedded host runs, checked as far as it is ours.

    Raises
    ------
    ConfigError
        When there is none, it cannot run here, or a setting is wrong.
    """
    config = _embedded(choice)
    config = replace(config, nodes=tuple(override(node, choice.settings) for node in config.nodes))
    for node in config.nodes:
        effective_settings(node)
    return config


def _embedded(choice: Choice) -> StreamConfig:
    """The configuration that is named or, by the rules of data, the one that came with the scan."""
    text, name = _text(choice)
    if not _comes_with_data(choice):
        return parse_config(text, name)
    node = node_from_data(text, name)
    refuse_files(load_config(properties_of(node.configuration.encode())).options, {})
    return StreamConfig(name, (node,))


def _comes_with_data(choice: Choice) -> bool:
    """Whether the text is the data's own; a name that it gives is that of an installed configuration."""
    return not (choice.local or choice.name) and bool(choice.session and choice.session.config_text)


def server_at(address: str, port: int, choice: Choice) -> Server:
    """The server and the configuration that it is to run; raises ConfigError where there is none."""
    if choice.local is None and (name := choice.name or _name_in(choice.session)):
        if choice.settings:
            raise ConfigError(f"{name} is the server's own: --set cannot change it; send a file with -C")
        return Server(address, port, config_name=name)
    if _comes_with_data(choice):
        _embedded(choice)
    return Server(address, port, config_text=override_text(*_text(choice), choice.settings))


def _name_in(session: Session | None) -> str:
    """The configuration that a stream names; raises ConfigError where it is no plain name."""
    name = session.config_file if session else ""
    if Path(name).name != name:
        raise ConfigError(f"the stream names the configuration {name!r}, a path: name one with -c")
    return name


def effective_settings(node: ExternalNode) -> dict[str, Any]:
    """The whole configuration of one of our gadgets; the properties alone of any other.

    Raises
    ------
    ConfigError
        For an unknown setting (with the nearest known one) or a value out of range.
    """
    settings = properties_of(node.configuration.encode())
    if node.module.partition(".")[0] != _OUR_PACKAGE:
        return settings
    return load_config(settings).model_dump()


def promised_series(target: StreamConfig | Server) -> dict[int, str]:
    """The series that the last node's settings ask for, and the method that makes it.

    Nothing where that cannot be told: other gadgets follow, or the configuration is not known here.
    """
    try:
        node = (target if isinstance(target, StreamConfig) else _config_of(target)).nodes[-1]
        settings = properties_of(node.configuration.encode())
        if node.module not in _MAKING_IMAGES and not (node.port and "method" in settings):
            return {}
        config = load_config(settings)
    except ConfigError:
        return {}
    has_final = config.method != config.preview or config.binning.by == "cardiac"
    return {FINAL_SERIES if has_final else PREVIEW_SERIES: config.method}


def _config_of(server: Server) -> StreamConfig:
    """What a server is to run; by its name, as it is installed here."""
    if not server.config_name:
        return parse_config(server.config_text, server.name)
    path = find_installed(server.config_name)
    return parse_config(read_text(path), path.name)


def _text(choice: Choice) -> tuple[str, str]:
    """Text and name of the configuration."""
    if chosen := choice.local or choice.name:
        return config_text(str(chosen))
    session = choice.session
    if session and session.config_text:
        return session.config_text.rstrip(b"\0").decode(errors="replace"), "the stream's configuration"
    if session and session.config_file:
        path = find_installed(session.config_file)
        return read_text(path), path.name
    raise ConfigError("give a configuration: -c NAME or -C FILE")
