"""OpenRecon: the label of an image of ours, made from the configuration, and its parameters as settings.

Parameter ids may hold letters and digits only. They are the names of the settings in camel case, which is
told here and nowhere else: ``binning.spokes_per_frame`` is ``binningSpokesPerFrame``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from gadgets.version import plugin_version
from python_recon.config import flat_keys, preset_names

LABEL_NAME = "com.siemens-healthineers.magneticresonance.openrecon.metadata:1.1.0"
NAME = "gadgetronpisco"
CONFIG_NAME = "openrecon"
"""What every OpenRecon scanner gives as its configuration; the parameters say the rest."""

_UNSET = "unset"
"""Choice that stands for a setting that is not set; a number that is not set is 0."""
_NOTICE = "For research only. Not a medical device: no image may be used for a diagnosis or a treatment."


@dataclass(frozen=True)
class _Offer:
    """How a setting is offered at the scanner."""

    label: str
    limits: tuple[float, float] = (0, 0)
    """Least and largest value, of numbers."""
    choices: tuple[str, ...] = ()
    """Of a text that is one of these."""
    unit: str = ""


def _offers() -> dict[str, _Offer]:
    return {
        "method": _Offer("Method", choices=tuple(name for name in preset_names() if _is_quick(name))),
        "preview": _Offer("Preview", choices=("gridding", "none")),
        "max_recon_seconds": _Offer("Time for the method", (1.0, 3600.0), unit="s"),
        "matrix": _Offer("Matrix", (0, 1024)),
        "trajectory.source": _Offer("Source of the angles"),
        "trajectory.mode": _Offer("Angle mode"),
        "trajectory.correct_delay": _Offer("Gradient delays"),
        "binning.by": _Offer("Frames by"),
        "binning.spokes_per_frame": _Offer("Spokes per frame", (0, 4096)),
        "binning.step": _Offer("Spokes from frame to frame", (0, 4096)),
        "binning.shared_spokes": _Offer("Shared spokes", (0, 256)),
        "coils.maps": _Offer("Coil maps"),
        "noise.prewhiten": _Offer("Whiten the coils"),
        "output.series_description": _Offer("Series description"),
    }


def _is_quick(method: str) -> bool:
    """Whether a method ends while somebody waits at the scanner; the published fits take hours."""
    return not method.endswith("_paper")


def parameter_id(key: str) -> str:
    """The id of a setting: its name in camel case."""
    first, *others = key.replace(".", "_").split("_")
    return first + "".join(word.capitalize() for word in others)


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a scanner as settings; those that are not set are left out, other names stay."""
    keys = {parameter_id(key): key for key in flat_keys()}
    settings = {keys.get(name, name): value for name, value in parameters.items()}
    unset = {keys[name] for name in keys.keys() & parameters.keys() if parameters[name] == _unset(keys[name])}
    return {key: value for key, value in settings.items() if key not in unset}


def label(*, vendor: str, can_use_gpu: bool) -> dict[str, Any]:
    """The label that tells the scanner what an image is and offers, by schema 1.1.0."""
    version = plugin_version()
    regulatory = {
        "device_trade_name": NAME,
        "production_identifier": version,
        "manufacturer_address": "",
        "made_in": "",
        "manufacture_date": "",
        "material_number": f"{NAME}_{version}",
        "gtin": "",
        "udi": "",
        "safety_advices": _NOTICE,
        "special_operating_instructions": "For two-dimensional radial scans.",
        "additional_relevant_information": "",
    }
    general = {
        "name": {"en": NAME},
        "version": version,
        "vendor": vendor,
        "information": {"en": f"Reconstruction of radial scans in Python. {_NOTICE}"},
        "id": NAME,
        "regulatory_information": regulatory,
    }
    parameters = [_parameter(key, offer) for key, offer in _offers().items()]
    return {"general": general, "reconstruction": _reconstruction(can_use_gpu), "parameters": parameters}


def dockerfile(base: str, content: Mapping[str, Any]) -> str:
    """An image of ours with the label."""
    encoded = base64.b64encode(json.dumps(content).encode()).decode()
    return f'FROM {base}\nLABEL "{LABEL_NAME}"="{encoded}"\n'


def _reconstruction(can_use_gpu: bool) -> dict[str, Any]:
    return {
        "transfer_protocol": {"protocol": "ISMRMRD", "version": "1.4.1"},
        "port": 9002,
        "emitter": "raw",
        "injector": "image",
        "can_process_adjustment_data": False,
        "can_use_gpu": can_use_gpu,
        "min_count_required_gpus": 0,
        "min_required_gpu_memory": 4096 if can_use_gpu else 0,
        "min_required_memory": 8192,
        "min_count_required_cpu_cores": 2,
        "content_qualification_type": "RESEARCH",
        "require_readout_filter_off": True,
        "channel_compression": {"require_state": "off"},
    }


def _parameter(key: str, offer: _Offer) -> dict[str, Any]:
    field = flat_keys()[key]
    default = field.get_default(call_default_factory=True)
    base = {"id": parameter_id(key), "label": {"en": offer.label}, "information": {"en": _information(key)}}
    kind, is_optional = _kind(field.annotation)
    choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else offer.choices
    if choices:
        return base | _choice((_UNSET, *choices) if is_optional else choices, default)
    if kind is bool or kind is str:
        return base | {"type": "boolean" if kind is bool else "string", "default": default}
    least, largest = map(kind, offer.limits)
    number = {"type": "int" if kind is int else "double", "minimum": least, "maximum": largest}
    unit = {"unit": {"en": offer.unit}} if offer.unit else {}
    return base | number | {"default": default or kind(0)} | unit


def _information(key: str) -> str:
    text, unset = " ".join(str(flat_keys()[key].description).split()), _unset(key)
    if unset is None:
        return text
    return text.replace("None:", f"{unset}:") if "None:" in text else f"{text} {unset}: not set."


def _choice(values: tuple[str, ...], default: Any) -> dict[str, Any]:
    named = [{"id": value, "name": {"en": value}} for value in values]
    return {"type": "choice", "values": named, "default": _UNSET if default is None else str(default)}


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of a setting without None, and whether it may be None."""
    if get_origin(annotation) is Literal or NoneType not in get_args(annotation):
        return annotation, False
    (kind,) = (part for part in get_args(annotation) if part is not NoneType)
    return kind, True


def _unset(key: str) -> str | int | None:
    """The value of a parameter that means that nothing is set; None where there is always a value."""
    kind, is_optional = _kind(flat_keys()[key].annotation)
    if not is_optional:
        return None
    return _UNSET if get_origin(kind) is Literal else 0
