"""``config show|validate|schema|table``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
import yaml

from gadgets.console import output, parse_settings
from gadgets.replay.config_xml import find_config, installed_configs, parse_config, read_text
from gadgets.replay.properties import parse_value, properties_of
from python_recon.config import Config, flat_keys, load_config, preset_names
from python_recon.errors import ConfigError

app = typer.Typer(add_completion=False, help="Show, check and describe configurations.", no_args_is_help=True)


@app.command()
def show(
    config: Annotated[
        str | None, typer.Argument(help="A method, an installed configuration, or an .xml or .yaml file.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
) -> None:
    """Show the configuration that would run, as YAML."""
    layers = [layer for _, layer in _layers(config)] if config else [{}]
    properties = {key: parse_value(text) for key, text in parse_settings(settings or []).items()}
    for layer in layers:
        effective = load_config(layer, properties)
        text = yaml.safe_dump(effective.model_dump(), sort_keys=False)
        output.print(text, markup=False, highlight=False, soft_wrap=True, end="")


@app.command("list")
def list_() -> None:
    """List what ``replay -c`` takes by name: installed configurations, and methods."""
    output.print(
        "installed:", *installed_configs(), sep="\n  ", markup=False, highlight=False, soft_wrap=True
    )
    output.print("methods:", *preset_names(), sep="\n  ", markup=False, highlight=False, soft_wrap=True)


@app.command()
def validate(
    config: Annotated[str, typer.Argument(help="An .xml or .yaml file, or an installed name.")],
) -> None:
    """Check a configuration: its keys, its values, its methods and their options."""
    from python_recon.methods.registry import validate as validate_methods

    for name, layer in _layers(config):
        validate_methods(load_config(layer))
        output.print(f"{name}: valid", markup=False, highlight=False, soft_wrap=True)


@app.command()
def schema() -> None:
    """Show the JSON schema of the configuration."""
    output.print_json(json.dumps(Config.model_json_schema()))


@app.command()
def table() -> None:
    """Show every setting, what it may be, its default and its meaning, as a Markdown table."""
    lines = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for name, field in flat_keys().items():
        default = json.dumps(field.get_default(call_default_factory=True)).strip('"') or '""'
        meaning = " ".join(str(field.description).split())
        lines.append(f"| `{name}` | {_values(field.annotation)} | `{default}` | {meaning} |")
    output.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _values(annotation: Any) -> str:
    """What a setting of that type may be, in words."""
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if annotation is NoneType:
        return "null"
    if get_origin(annotation) is dict:
        return "names and values"
    if isinstance(annotation, type):
        return annotation.__name__
    return " or ".join(map(_values, get_args(annotation)))


def _layers(name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and settings of each part of a configuration that is configured by us."""
    if name in preset_names():
        return [(name, {"method": name})]
    path = find_config(name)
    if path.suffix in (".yaml", ".yml"):
        return [(path.name, _yaml(path))]
    nodes = parse_config(read_text(path), path.name).nodes
    return [(f"{path.name}, {node.name}", properties_of(node.configuration.encode())) for node in nodes]


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        settings = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not well-formed YAML: {error}") from error
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{path} holds no settings: expected lines of the form key: value")
    return settings
