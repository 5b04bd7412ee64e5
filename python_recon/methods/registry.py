"""Methods by name, imported when they run.

A method is a function of one prepared slice. Other packages add methods through the entry-point group
``python_recon.methods``: the name of the entry point is the implementation's name, its object a
:class:`Method`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from python_recon.arrays import Array
from python_recon.config import METHOD_GROUP, Config, Section, load_preset, nearest
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError
from python_recon.judging.risk import ExpectedError
from python_recon.resources.memory import Need, series_need
from python_recon.resources.schedule import Budget


@dataclass(frozen=True)
class Reconstruction:
    """What a method returns."""

    images: Array
    """(frame, y, x) complex64, on the device of the k-space."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Numbers worth keeping: iterations, stop reason, loss curve."""
    state: Any = None
    """What a next fit may start from (``Budget.start``); None: nothing."""
    comment: str = ""
    """What a reader of the images should know, such as a part of the method that the data did not allow."""
    made_by: str = ""
    """Name of the method whose images these are, where the configured one changed nothing; empty: its own."""
    expected: ExpectedError | None = None
    """How far the images are expected to lie from the true ones; None: the method does not tell."""
    again: Callable[[KSpace, CoilMaps], Array] | None = None
    """Makes images (frame, y, x) of other data in exactly the same way, with the weights that were chosen, so
    that the expected error can be told; None: the method tells it itself, or cannot be repeated."""
    later: Iterable[Array] = ()
    """The frames after those of ``images``, in blocks that are made as they are asked for: each may be sent
    while the next is made. An error that comes with one leaves the frames from there on to a simpler
    method."""


@dataclass(frozen=True)
class Method:
    """A registered implementation.

    ``run`` receives k-space on the device (whitened, compressed, density filled in), the coil maps, the
    validated options and the budget.
    """

    run: Callable[[KSpace, CoilMaps, Any, Budget], Reconstruction]
    options: type[Section]
    memory: Need = series_need
    """What it needs beside the prepared slice."""
    griddings: float = 6.0
    """Time that it takes where that is up at once, relative to gridding the same series: in less, it is not
    begun."""


_BUILT_IN = {
    "gridding": "python_recon.methods.gridding:METHOD",
    "cg_sense": "python_recon.methods.cg_sense:METHOD",
    "grasp": "python_recon.methods.grasp:METHOD",
    "xd_grasp": "python_recon.methods.xd_grasp:METHOD",
    "subspace": "python_recon.methods.subspace:METHOD",
    "motion": "python_recon.methods.motion:METHOD",
    "neural_kspace": "python_recon.methods.neural_kspace:METHOD",
    "iconik": "python_recon.methods.iconik:METHOD",
    "subspace_inr": "python_recon.methods.subspace_inr:METHOD",
    "st_inr": "python_recon.methods.st_inr:METHOD",
    "st_inr_paper": "python_recon.methods.st_inr_paper:METHOD",
    "zs_ssl": "python_recon.methods.zs_ssl:METHOD",
    "trained": "python_recon.methods.trained:METHOD",
    "zero_mirid": "python_recon.methods.zero_mirid:METHOD",
    "zs_ssl_paper": "python_recon.methods.zero_shot_paper:ZS_SSL",
    "zero_mirid_paper": "python_recon.methods.zero_shot_paper:ZERO_MIRID",
}


def built_in_modules() -> list[str]:
    """What is imported when our own methods run, for whoever wants that done before."""
    return sorted({reference.partition(":")[0] for reference in _BUILT_IN.values()})


def load_method(implementation: str) -> Method:
    """The implementation of that name; raises ConfigError where there is none."""
    if implementation in _BUILT_IN:
        module, name = _BUILT_IN[implementation].split(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    plugins = {point.name: point for point in entry_points(group=METHOD_GROUP)}
    if implementation not in plugins:
        raise ConfigError(f"no method {implementation!r}{nearest(implementation, [*_BUILT_IN, *plugins])}")
    return plugins[implementation].load()  # type: ignore[no-any-return]


def resolve(name: str, options: Mapping[str, Any]) -> tuple[Method, Section]:
    """The method behind a preset's name, and its options: the preset's, overridden by those given.

    Raises
    ------
    ConfigError
        For an unknown method, an unknown option (with the nearest known one) or a bad value.
    """
    preset = load_preset(name)
    method = load_method(preset.implementation)
    merged = {**preset.config.get("options", {}), **options}
    for key in merged:
        if key not in method.options.model_fields:
            hint = nearest(key, method.options.model_fields)
            raise ConfigError(f"method {name!r} has no option {key!r}{hint}")
    try:
        return method, method.options.model_validate(merged)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"options of method {name!r}: {'; '.join(faults)}") from error


def validate(config: Config) -> None:
    """Check the methods and the options that a configuration names; raises ConfigError."""
    resolve(config.method, config.options)
    if config.preview != "none":
        resolve(config.preview, {})
