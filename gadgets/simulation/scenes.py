"""Simulated scans by name, to evaluate methods on.

All have the published dimensions of the cardiac evaluation of PISCO (doi 10.1016/j.media.2025.103890): 25
frames, a matrix of 208, 22 coils and 14 spokes a frame. A second of scanning is about one heartbeat. Only
``still`` is one frame, of 34 spokes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gadgets.simulation.options import SimulateOptions
from python_recon.config import nearest
from python_recon.errors import ConfigError

_PUBLISHED = {"matrix": 208, "coils": 22, "frames": 25, "spokes_per_frame": 14}
_FAST = {**_PUBLISHED, "heart_rate": 150.0, "contraction": 0.4, "breathing": 12.0}
_STILL = {"contraction": 0.0, "breathing": 0.0, "contrast": 0.0}

SCENES: Mapping[str, Mapping[str, Any]] = {
    "cardiac": _PUBLISHED,
    "cardiac_slow": {**_PUBLISHED, "heart_rate": 60.0, "breathing": 0.0, "contrast": 0.0},
    "cardiac_fast": _FAST,
    "cardiac_irregular": {**_FAST, "arrhythmia": 0.5},
    "cardiac_textured": {**_FAST, "arrhythmia": 0.5, "texture": 0.1},
    "still": {**_PUBLISHED, **_STILL, "frames": 1, "spokes_per_frame": 34, "texture": 0.1},
}
"""What departs from the defaults of ``simulate``: as they are; a calm, breath-held heart; one under stress,
with a strong beat and deep breathing; the same with half of the beats early, and with texture in addition;
a textured heart that stands still, in one frame."""


def scene(name: str, seed: int = 0, changes: Mapping[str, Any] | None = None) -> SimulateOptions:
    """The options of a scene, with changes to them.

    Raises
    ------
    ConfigError
        For an unknown scene or option, and for a value out of range.
    """
    if name not in SCENES:
        raise ConfigError(f"unknown scene {name!r}{nearest(name, SCENES)}")
    changes = dict(changes or {})
    for option in changes:
        if option not in SimulateOptions.model_fields or option == "seed":
            known = [field for field in SimulateOptions.model_fields if field != "seed"]
            raise ConfigError(f"unknown option {option!r} of a scene{nearest(option, known)}")
    try:
        return SimulateOptions(**{**SCENES[name], **changes, "seed": seed})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"the scene {name!r} cannot be simulated: {faults}") from error
