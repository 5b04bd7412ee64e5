"""Every number that can be set is bounded on both sides: what a client sends cannot run for good."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import gadgets
import python_recon
from python_recon.config import Section, load_config
from python_recon.errors import ConfigError

_LEFT_OUT = ("hash_grid_triton", "__main__", "start")
"""Modules that need a GPU's compiler, or run something when they are imported."""


def _sections() -> list[type[Section]]:
    for package in (python_recon, gadgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(_LEFT_OUT):
                importlib.import_module(module.name)
    found, waiting = set(), [Section]
    while waiting:
        section = waiting.pop()
        found.add(section)
        waiting += section.__subclasses__()
    return sorted(
        (s for s in found if s.model_fields and "tests" not in s.__module__), key=lambda s: s.__name__
    )


def _numbers(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for item in schema:
            yield from _numbers(item, place)
    elif isinstance(schema, dict):
        if schema.get("type") in ("number", "integer") and not schema.keys() & {"enum", "const"}:
            yield place, schema
        for key, inner in schema.items():
            if key != "default":
                yield from _numbers(inner, f"{place}.{key}")


def test_every_number_is_bounded_on_both_sides():
    sections = _sections()
    assert len(sections) > 15
    numbers = [each for s in sections for each in _numbers(s.model_json_schema(), s.__name__)]
    assert len(numbers) > 100
    unbounded = [
        place
        for place, schema in numbers
        if not (
            schema.keys() & {"minimum", "exclusiveMinimum"}
            and schema.keys() & {"maximum", "exclusiveMaximum"}
        )
    ]
    assert unbounded == []


@pytest.mark.parametrize(
    "settings",
    [
        {"density.iterations": 10**9},
        {"max_recon_seconds": 1e300},
        {"max_idle_seconds": float("inf")},
        {"binning.spokes_per_frame": 10**30},
        {".".join(3000 * "a"): 1},
        {"options": {".".join(3000 * "a"): 1}},
    ],
)
def test_settings_beyond_all_reason_are_refused(settings):
    with pytest.raises(ConfigError):
        load_config(settings)


def test_settings_within_settings_within_settings_are_refused():
    nested: dict[str, Any] = {}
    for _ in range(3000):
        nested = {"a": nested}
    with pytest.raises(ConfigError, match="names deep"):
        load_config({"options": nested})
