"""Whose options ``compare --set`` changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from python_recon.config import nearest
from python_recon.errors import ConfigError
from python_recon.methods.registry import resolve

Options = dict[str, dict[str, Any]]
_ALL = "options"


def own_options(methods: Sequence[str], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    """Settings of the whole comparison, and the options of each method that has some.

    ``grasp.iterations`` is an option of grasp; ``options.iterations`` is one of every method that has it.

    Raises
    ------
    ConfigError
        For an option that no method, or not the one that is named, has.
    """
    general: dict[str, Any] = {}
    options: Options = {}
    for key, value in settings.items():
        owner, _, name = key.partition(".")
        if owner != _ALL and owner not in methods:
            general[key] = value
            continue
        for method in _owners(owner, name, methods):
            options.setdefault(method, {})[name] = value
    for method, chosen in options.items():
        resolve(method, chosen)
    return general, options


def _owners(owner: str, name: str, methods: Sequence[str]) -> list[str]:
    candidates = methods if owner == _ALL else [owner]
    known = {method: list(type(resolve(method, {})[1]).model_fields) for method in candidates}
    owners = [method for method, names in known.items() if name.partition(".")[0] in names]
    if not owners:
        names = sorted({each for held in known.values() for each in held})
        hint = nearest(name, names)
        raise ConfigError(f"--set {owner}.{name}: {', '.join(candidates)} have no option {name!r}{hint}")
    return owners
