"""What a configuration may do that came with data: in a scan file, in a stream, from a client.

It is data. It chooses among our own gadgets and their settings, and no other code, no file and no address;
what more is wanted is for the user to say (``-c``), or for who has installed a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gadgets.replay.config_xml import ExternalNode, is_whole, parse_config
from python_recon.errors import ConfigError

_RECONSTRUCTING = ("gadgets.radial", "gadgets.recon_data")
"""Modules that a configuration may name; each has the gadget below."""
_TARGET = "reconstruct"
_FILES = ("checkpoint", "resume", "tensorboard", "model")
"""Options of methods that name files."""


def node_from_data(text: str, name: str) -> ExternalNode:
    """The gadget that a configuration stands for: a whole one, or the properties of one of its nodes.

    A ``<connect>`` stands for our own gadget here; nobody is called.

    Raises
    ------
    ConfigError
        Where it would run anything else.
    """
    if not is_whole(text, name):
        return ExternalNode(text, _RECONSTRUCTING[0], _TARGET)
    nodes = parse_config(text, name).nodes
    is_ours = nodes[0].port is not None or (nodes[0].module, nodes[0].target) in {
        (module, _TARGET) for module in _RECONSTRUCTING
    }
    if len(nodes) > 1 or not is_ours:
        found = ", ".join(node.name for node in nodes)
        raise ConfigError(
            f"{name} runs {found}; what comes with data runs one node, gadgets.radial.reconstruct or "
            "<connect>. For others name a configuration: `gadgetron-pisco replay -c`, or send the scan to a "
            "Gadgetron server"
        )
    return ExternalNode(nodes[0].configuration, nodes[0].module or _RECONSTRUCTING[0], _TARGET)


def refuse_files(options: Mapping[str, Any], installed: Mapping[str, Any]) -> None:
    """Raise ConfigError where options name files, other than those of the installed configuration."""
    for name in _FILES:
        if options.get(name, "") != installed.get(name, ""):
            raise ConfigError(
                f"options.{name} names a file of the machine that runs the method: that is for an installed "
                "configuration to say, or for the user of `gadgetron-pisco replay` (-c, --set)"
            )
