"""Properties of a config XML, as settings.

The names are those of the configuration (``binning.spokes_per_frame``). Those of Gadgetron's GPU radial
chain are understood too, where they mean the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import yaml

from python_recon.errors import ConfigError

_log = logging.getLogger(__name__)

_GPU_CHAIN = {
    "mode": "trajectory.mode",
    "profiles_per_frame": "binning.spokes_per_frame",
    "frames_per_rotation": "trajectory.frames_per_rotation",
    "number_of_iterations": "options.iterations",
    "kappa": "options.regularisation",
}


def properties_of(configuration: Element | bytes | None) -> dict[str, Any]:
    """Settings of a ``<configuration>``: an element, its text, or nothing at all.

    Raises
    ------
    ConfigError
        Where the text is no XML, or a property lacks its name or value.
    """
    if isinstance(configuration, bytes):
        configuration = _parse(configuration)
    if configuration is None:
        return {}
    properties: dict[str, Any] = {}
    for element in configuration.findall("property"):
        name, text = _name_and_value(element)
        properties[name] = parse_value(text)
    return _translated(properties)


class _PlainLoader(yaml.SafeLoader):
    """Without aliases: a short text of them can stand for more values than the memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not understood")
        return super().compose_node(parent, index)


def parse_value(text: str) -> Any:
    """A number, list, mapping, true, false or null, as YAML has them; on, off, yes and no stay text."""
    try:
        value = yaml.load(text, _PlainLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    is_word = isinstance(value, bool) and text.strip().lower() not in ("true", "false")
    return (
        text.strip() if is_word or not isinstance(value, bool | int | float | list | dict | None) else value
    )


def _parse(text: bytes) -> Element | None:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    text = text.strip(b"\0 \r\n\t")
    if not text:
        return None
    try:
        return fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ConfigError(f"the configuration is not valid XML: {error!r}") from error


def _name_and_value(element: Element) -> tuple[str, str]:
    name = element.get("name", element.findtext("name"))
    value = element.get("value", element.findtext("value"))
    if not name or value is None:
        found = {**element.attrib, **{child.tag: child.text for child in element}}
        raise ConfigError(
            f'a property needs a name and a value: <property name="..." value="..."/>, found {found}'
        )
    return name, value


def _translated(properties: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(properties)
    for name, setting in _GPU_CHAIN.items():
        if name in settings:
            settings.setdefault(setting, settings.pop(name))
    for name, translate in _COMBINED.items():
        if name in settings:
            settings.update(translate(settings.pop(name), settings))
    return settings


def _sliding_window(kept_profiles: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The GPU chain counts the profiles that a frame shares with the one before."""
    if not kept_profiles:
        return {}
    spokes = settings.get("binning.spokes_per_frame")
    if not isinstance(spokes, int) or not isinstance(kept_profiles, int) or not 0 < kept_profiles < spokes:
        raise ConfigError(
            f"sliding_window_profiles is {kept_profiles!r} and profiles_per_frame {spokes!r}: expected the "
            "number of profiles kept from one frame to the next, fewer than profiles_per_frame"
        )
    return {"binning.step": spokes - kept_profiles}


_COMBINED: dict[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]] = {
    "sliding_window_profiles": _sliding_window,
}
