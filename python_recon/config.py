"""One typed configuration for the stream, the replay and the command line.

Sources, each overriding the one before: the defaults below, a preset (``presets/NAME.yaml``), the
properties of the config XML, the scanner's parameters, ``--set`` on the command line. Keys are written
with dots (``binning.spokes_per_frame``); the options of the method are under ``options.``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from python_recon.errors import ConfigError

METHOD_GROUP = "python_recon.methods"
"""Entry points by which other packages add methods."""


_DEEPEST = 8
"""Names in front of a setting's own, more than any has."""


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class NoiseConfig(Section):
    """Noise prewhitening."""

    prewhiten: bool = True
    """Whiten the coils with the noise scan, where there is one."""


class TrajectoryConfig(Section):
    """Where the spokes lie in k-space."""

    source: Literal["auto", "embedded", "user_float", "header", "configured"] = "auto"
    """Where the angles come from; auto takes the first that is there, in this order."""
    unit: Literal[
        "auto",
        "cycles_per_fov",
        "cycles_per_encoded_fov",
        "normalised",
        "normalised_to_1",
        "normalised_to_pi",
        "per_mm",
        "per_m",
        "rad_per_mm",
        "rad_per_m",
    ] = "auto"
    """Unit of an embedded trajectory: cycles per field of view (-N/2..N/2), -0.5..0.5, -1..1, -pi..pi, or per
    length; auto tells it from the largest radius."""
    mode: Literal[0, 1, 2, 3] | None = None
    """Gadgetron's angle modes: 0 fixed, 1 fixed and interleaved, 2 golden (111.246 deg), 3 golden of the
    half circle (68.754 deg)."""
    angle_increment_deg: float | None = Field(None, ge=-3600, le=3600)
    """Angle between successive spokes."""
    angle_offset_deg: float = Field(0.0, ge=-3600, le=3600)
    """Angle of the first spoke."""
    user_float_index: int = Field(0, ge=0, le=7)
    """Which user_float holds the angle in degrees."""
    spokes_per_rotation: int | None = Field(None, ge=1, le=65536)
    """Spokes of a frame in the fixed modes 0 and 1."""
    frames_per_rotation: int = Field(1, ge=1, le=65536)
    """Interleaved frames of mode 1."""
    correct_delay: Literal["auto", "on", "off"] = "auto"
    """Gradient-delay correction; auto applies it only where it is significant."""


class BinningConfig(Section):
    """How readouts become frames."""

    by: Literal["auto", "spokes", "repetition", "phase", "cardiac", "beat"] = "auto"
    """What makes a frame; auto follows the header: phase, else repetition, else spokes. cardiac: a phase of
    the heart, from all beats; beat: a phase of each beat, as it streams."""
    spokes_per_frame: int | None = Field(None, ge=1, le=65536)
    """Spokes of a frame (profiles_per_frame)."""
    step: int | None = Field(None, ge=1, le=65536)
    """Spokes from one frame to the next: fewer than a frame holds makes the window slide."""
    shared_spokes: int = Field(0, ge=0, le=65536)
    """View sharing: spokes borrowed on either side of a frame, for the outer k-space only."""
    minimum_fraction: float = Field(0.5, gt=0, le=1)
    """A frame with less than this share of its spokes is left out."""
    cardiac_phases: int = Field(25, ge=1, le=1000)
    """Frames of a heartbeat, by cardiac or beat."""
    beat_tolerance: float = Field(0.25, gt=0, le=1)
    """By cardiac, beats whose length departs from the median by more than this share are left out."""


class CoilConfig(Section):
    """Coil compression and coil maps."""

    virtual: int | None = Field(None, ge=1, le=1024)
    """Virtual coils after compression; None: by energy."""
    energy: float = Field(0.99, gt=0, le=1)
    """Share of the energy that the virtual coils keep."""
    maximum: int = Field(12, ge=1, le=1024)
    """Most virtual coils when they are chosen by energy."""
    maps: Literal["low_resolution", "walsh", "espirit", "nlinv"] = "nlinv"
    """Coil-map estimator."""
    calibration_width: int | None = Field(None, ge=8, le=4096)
    """Width of the calibration region in cycles per field of view; None: from the data."""


class DensityConfig(Section):
    """Density compensation."""

    method: Literal["ramp", "iterative"] = "ramp"
    """Analytic ramp, or the fixed point of Pipe and Menon."""
    iterations: int = Field(10, ge=1, le=200)
    """Iterations of the iterative estimate."""


class OutputConfig(Section):
    """What is sent to the client."""

    dtype: Literal["uint16", "float32", "complex64"] = "uint16"
    """Type of the pixels."""
    bits: Literal[12, 16] = 12
    """Bits used of uint16."""
    series_description: str = ""
    """Appended to the series description; empty: the name of the method."""
    coil_maps: bool = False
    """Send the coil maps of the method as well, as a complex image of series 3."""


class Config(Section):
    """Everything that can be set."""

    method: str = "grasp"
    """The method of the final series (see `gadgetron-pisco methods`)."""
    preview: str = "gridding"
    """The method of the streamed preview, or none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where methods run; auto takes CUDA where there is one."""
    threads: int | None = Field(None, ge=1, le=1_000_000)
    """CPU threads; None: all cores."""
    matrix: int | None = Field(None, ge=16, le=4096)
    """Pixels along the longer side of the field of view, as many along the other as keep them square (rounded
    to even); None: the header's matrix."""
    field_of_view_scale: float | None = Field(None, ge=1, le=2)
    """Factor by which the field of view is widened for the reconstruction; the images are cut again. None: as
    far as the object reaches."""
    max_recon_seconds: float = Field(600.0, gt=0, le=86400)
    """Time for preparation and method, from the last readout on; where data come faster than they were
    acquired, from the last preview on."""
    max_idle_seconds: float = Field(60.0, gt=0, le=86400)
    """Seconds without any data from the sender after which the scan is ended."""
    preview_deadline_s: float = Field(2.0, gt=0, le=86400)
    """Previews of frames that are older than this are left out, if data arrive at the pace of the scan and a
    method follows. A file that is sent faster keeps all its previews."""
    max_host_gb: float | None = Field(None, gt=0, le=1e6)
    """Memory for the data of a scan and its reconstruction, GB; None: 90 % of what is free at its start."""
    max_gpu_gb: float | None = Field(None, gt=0, le=1e6)
    """The same for the memory of the GPU."""
    noise: NoiseConfig = NoiseConfig()
    trajectory: TrajectoryConfig = TrajectoryConfig()
    binning: BinningConfig = BinningConfig()
    coils: CoilConfig = CoilConfig()
    density: DensityConfig = DensityConfig()
    output: OutputConfig = OutputConfig()
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the method."""


def load_config(*layers: Mapping[str, Any]) -> Config:
    """The configuration from layers of dotted or nested keys, later layers first.

    The method that wins brings its preset in underneath all layers.

    Raises
    ------
    ConfigError
        For unknown keys (with the nearest known one) and for values out of range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, _nested(layer))
    preset = load_preset(str(merged.get("method", Config.model_fields["method"].default)))
    settings = dict(preset.config)
    _merge(settings, merged)
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error
    return config


class Preset(Section):
    """A named method with its settings: one YAML file in ``presets``."""

    name: str
    description: str
    """One line for `methods`."""
    implementation: str
    """The registered method that runs."""
    reference: str = ""
    """DOI or arXiv number."""
    needs: str = ""
    """What must be installed or given."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings, as in a configuration."""


def preset_names() -> list[str]:
    """Names of the methods: the presets, and what other packages have registered."""
    return sorted({*_preset_files(), *_plugins()})


def load_preset(name: str) -> Preset:
    """The preset ``name``; raises ConfigError, naming the nearest, where there is none.

    A method of another package is a preset without settings, unless a preset of ours has its name.
    """
    if name in _preset_files():
        text = resources.files("python_recon.presets").joinpath(f"{name}.yaml").read_text()
        return Preset(name=name, **yaml.safe_load(text))
    plugin = _plugins().get(name)
    if plugin is None:
        raise ConfigError(f"there is no method {name!r}{nearest(name, preset_names())}")
    package = plugin.dist.name if plugin.dist else plugin.module
    return Preset(name=name, description=f"From the package {package}", implementation=name)


def _preset_files() -> list[str]:
    files = resources.files("python_recon.presets").iterdir()
    return [file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")]


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=METHOD_GROUP)}


def flat_keys() -> dict[str, Any]:
    """Dotted name of every setting and its field."""
    keys: dict[str, Any] = {}
    for name, info in Config.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            keys |= {f"{name}.{inner}": field for inner, field in info.annotation.model_fields.items()}
        else:
            keys[name] = info
    return keys


def nearest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for a likely slip, else the known words."""
    known = list(known)
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _nested(layer: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in layer.items():
        *sections, leaf = str(key).split(".")
        if depth + len(sections) > _DEEPEST:
            raise ConfigError(
                f"setting {str(key)[:40]!r} lies {depth + len(sections)} names deep; no setting lies deeper "
                f"than {_DEEPEST}"
            )
        deeper = depth + len(sections) + 1
        inner = {leaf: _nested(value, deeper) if isinstance(value, Mapping) else value}
        for section in reversed(sections):
            inner = {section: inner}
        _merge(nested, inner)
    return nested


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if not isinstance(value, Mapping):
            base[key] = value
            continue
        held = base.setdefault(key, {})
        if not isinstance(held, dict):
            names = ", ".join(f"'{key}.{inner}'" for inner in value) or "a section"
            raise ConfigError(
                f"setting {key!r} is {held!r} in one place and has {names} in another: expected only names "
                f"below it, as in '{key}.NAME'"
            )
        _merge(held, value)


def _explain(error: ValidationError) -> str:
    return "; ".join(_explain_one(item) for item in error.errors())


def _explain_one(item: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown setting {key!r}{nearest(key, flat_keys())}"
    return f"setting {key!r} is {item['input']!r}: {item['msg']}"
