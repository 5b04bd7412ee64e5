"""What an operator allows clients at most: ``serve --most max_recon_seconds=300``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from python_recon.config import Config, flat_keys, load_config, nearest
from python_recon.errors import ConfigError

_log = logging.getLogger(__name__)

_UNBOUNDED = ("max_host_gb", "max_gpu_gb", "threads")
"""Settings that mean all there is where they are not set."""
_OPTIONS = "options."


def parse_most(texts: Sequence[str]) -> dict[str, float]:
    """Largest values by the names of settings, from texts ``KEY=VALUE``.

    Raises
    ------
    ConfigError
        Where a text is none, or the setting is unknown, no number or never as large.
    """
    most: dict[str, float] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key.startswith(_OPTIONS) and key not in flat_keys():
            raise ConfigError(f"--most {text}: unknown setting {key!r}{nearest(key, flat_keys())}")
        try:
            most[key] = float(value)
        except ValueError as error:
            raise ConfigError(f"--most {text}: expected a number, as in max_recon_seconds=300") from error
        if not key.startswith(_OPTIONS):
            load_config({key: _number(most[key])})
    return most


def limited(config: Config, most: Mapping[str, float]) -> Config:
    """The configuration with every number that exceeds what is allowed cut down to that, and told of."""
    changes = {}
    for key, largest in most.items():
        value = _value(config, key)
        is_beyond = isinstance(value, int | float) and value > largest
        if is_beyond or (value is None and key in _UNBOUNDED):
            _log.log(
                logging.WARNING if is_beyond else logging.INFO,
                "%s is %s, the operator of the daemon allows %g: taken",
                key,
                value,
                largest,
            )
            changes[key] = _number(largest)
    return load_config(config.model_dump(), changes) if changes else config


def _value(config: Config, key: str) -> Any:
    found: Any = config
    for part in key.split(".", 1):
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, part)
    return found


def _number(value: float) -> int | float:
    """A whole number where it is one, as counts are."""
    return int(value) if value.is_integer() else value
