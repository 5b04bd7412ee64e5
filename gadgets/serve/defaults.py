"""What a daemon runs for clients that do not say it: by the port they come to, or everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gadgets.replay.config_xml import find_config, parse_config, read_text
from gadgets.replay.properties import properties_of
from python_recon.config import load_config
from python_recon.errors import ConfigError
from python_recon.methods.registry import validate

_PORTS = range(1, 1 << 16)


@dataclass(frozen=True)
class Defaults:
    """Settings for scans that bring none; the operator's, who may name files in them."""

    everywhere: Mapping[str, Any] = field(default_factory=dict)
    by_port: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_names(cls, everywhere: str | None, by_port: Sequence[str]) -> Defaults:
        """From a configuration and texts such as ``18001=radial_grasp_float``.

        Raises
        ------
        ConfigError
            Where there is no such configuration, it does not run here, or a text is not of that form.
        """
        ports = dict(map(_port_and_name, by_port))
        return cls(
            _settings(everywhere) if everywhere else {},
            {port: _settings(name) for port, name in ports.items()},
        )

    def of(self, port: int) -> Mapping[str, Any]:
        """The settings for scans that come to a port without any."""
        return self.by_port.get(port, self.everywhere)


def _port_and_name(text: str) -> tuple[int, str]:
    port, _, name = text.partition("=")
    if not (port.isdecimal() and int(port) in _PORTS and name):
        raise ConfigError(
            f"--connect {text!r}: expected a port and a configuration, as in 18001=radial_grasp_float"
        )
    return int(port), name


def _settings(name: str) -> dict[str, Any]:
    """Of an installed configuration, or of a file."""
    path = find_config(name)
    nodes = parse_config(read_text(path), path.name).nodes
    if len(nodes) > 1:
        raise ConfigError(f"{name} has {len(nodes)} nodes; a daemon runs configurations of one")
    settings = properties_of(nodes[0].configuration.encode())
    validate(load_config(settings))
    return settings
