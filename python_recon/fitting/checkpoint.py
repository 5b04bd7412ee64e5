"""Fitted fields in files: a safetensors file with the configuration in its metadata, and no pickle.

The tensors are those of the network (``net.``), of the subspace start (``start.``) and the coil maps; complex
ones are stored as real and imaginary parts along a last axis. The metadata hold ``format``,
``format_version`` and, as JSON, the ``configuration``. The network is rebuilt from its options, without the
scan (see :mod:`~python_recon.fitting.rebuilding`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file

from python_recon.acquisition.spokes import frame_times, has_clock
from python_recon.config import Section
from python_recon.data import Counters, Geometry, KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.fields.fitted import FittedField
from python_recon.fields.time_axis import TimeAxis
from python_recon.fitting.file_format import FileFormat, read_tensors
from python_recon.fitting.rebuilding import Blueprint, Kind, kind_of
from python_recon.judging.shares import Shares
from python_recon.resources.new_files import new_file

_COMPLEX = ("maps", "start.pixels", "net.taught.pixels")


@dataclass(frozen=True)
class Origin:
    """The slice that a field was fitted to."""

    measurement_id: str
    counters: Counters
    """Of its first readout."""
    geometry: Geometry
    """Its field of view is that of ``image_matrix``."""
    image_matrix: tuple[int, int]
    """(y, x) of the images; the field's own matrix may be wider, at the same pixels."""
    frame_times: tuple[float, ...]
    """Of the frames that were fitted, on the clock of the field's time axis."""
    has_clock: bool
    """Whether that clock is the scanner's, in seconds; else it counts frames."""

    @classmethod
    def of(cls, kspace: KSpace) -> Origin:
        """Of prepared k-space."""
        return cls(
            measurement_id=kspace.measurement_id,
            counters=kspace.counters,
            geometry=kspace.geometry,
            image_matrix=kspace.image_matrix or kspace.matrix,
            frame_times=tuple(frame_times(kspace).tolist()),
            has_clock=has_clock(kspace),
        )

    @property
    def slice_key(self) -> tuple[int, int, int]:
        """Slice, contrast and set."""
        return self.counters.slice, self.counters.contrast, self.counters.set


@dataclass(frozen=True)
class Checkpoint:
    """A field as it was saved."""

    fitted: FittedField
    method: str
    """The registered implementation."""
    options: dict[str, Any]
    """All options of that method."""
    origin: Origin


@dataclass(frozen=True)
class _Configuration:
    """What the metadata hold."""

    method: str
    kind: Kind
    options: dict[str, Any]
    axis: TimeAxis
    scale: float
    shares: Shares
    origin: Origin
    package_version: str


FORMAT = FileFormat(
    name="gadgetron-pisco field",
    version=4,
    key="configuration",
    content=TypeAdapter(_Configuration),
    noun="checkpoint of a field",
    part="configuration in",
    cure="fit the scan again",
)


def path_of_slice(path: str, counters: Counters) -> Path:
    """The file of a slice: ``path``, with the numbers that are not 0 of slice, contrast and set in its name.

    ``field.safetensors`` of slice 2 is ``field_slice2.safetensors``, so that no slice replaces another.
    """
    numbers = {"slice": counters.slice, "contrast": counters.contrast, "set": counters.set}
    suffix = "".join(f"_{name}{number}" for name, number in numbers.items() if number)
    whole = Path(path)
    return whole.with_name(f"{whole.stem}{suffix}{whole.suffix}")


def save(fitted: FittedField, path: Path, method: str, options: Section, origin: Origin) -> None:
    """Write a field; a file of that name is replaced once the new one is whole.

    Parameters
    ----------
    fitted
        Its network is one that ``options`` make.
    method
        The registered implementation that made it.
    options
        All options of that method.

    Raises
    ------
    ConfigError
        If the file cannot be written, or the network is one that could not be rebuilt.
    """
    configuration = _Configuration(
        method=method,
        kind=kind_of(fitted.net),
        options=options.model_dump(mode="json"),
        axis=fitted.axis,
        scale=fitted.scale,
        shares=fitted.shares,
        origin=origin,
        package_version=_package_version(),
    )
    try:
        with new_file(path) as part:
            save_file(_tensors(fitted), part, FORMAT.metadata(configuration))
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"the checkpoint {path} cannot be written: {error}") from error


def load(path: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a field; it renders as the one that was saved.

    Raises
    ------
    DataError
        If the file is missing, no checkpoint, of another format version, or incomplete.
    """
    metadata, tensors = _read(path)
    configuration = FORMAT.described(metadata, path)

    def find(name: str) -> torch.Tensor:
        if name not in tensors:
            raise DataError(f"{path} is incomplete: it lacks {name}; save it again")
        return tensors[name]

    maps = find("maps")
    _check(configuration, maps, tensors, path)
    blueprint = Blueprint(
        configuration.kind, configuration.options, maps, configuration.axis.kind, find, tensors.__contains__
    )
    try:
        _compare(blueprint.shapes(), "net.", tensors, path)  # before any memory is taken for them
        net = blueprint.net()
    except ValidationError as error:
        raise DataError(f"the options in {path} are damaged: {error.errors()[0]['msg']}") from error
    except (RuntimeError, ValueError, LookupError) as error:
        raise DataError(f"{path} is damaged: its tensors are of no field ({error})") from error
    has_start = any(name.startswith("start.") for name in tensors)
    start = blueprint.low_rank("start.") if has_start else None
    for module, prefix in ((net, "net."), (start, "start.")):
        if module is not None:
            _fill(module, prefix, tensors, path)
            module.to(device)
    fitted = FittedField(
        net, start, configuration.shares, configuration.scale, maps.to(device), configuration.axis
    )
    return Checkpoint(fitted, configuration.method, configuration.options, configuration.origin)


def _tensors(fitted: FittedField) -> dict[str, torch.Tensor]:
    named = {"maps": fitted.maps}
    for prefix, module in (("net.", fitted.net), ("start.", fitted.start)):
        if module is not None:
            named |= {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
    # Clones, since the format takes no two tensors of one memory.
    return {
        name: (torch.view_as_real(tensor) if tensor.is_complex() else tensor).clone().contiguous()
        for name, tensor in named.items()
    }


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise DataError(f"there is no checkpoint {path}")
    metadata, tensors = read_tensors(path, "checkpoint")
    try:
        complex_ones = {name: torch.view_as_complex(tensors[name]) for name in _COMPLEX if name in tensors}
    except RuntimeError as error:
        raise DataError(f"{path} is no checkpoint: {error}") from error
    return metadata, {**tensors, **complex_ones}


def _check(
    configuration: _Configuration, maps: torch.Tensor, tensors: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Raise DataError where the numbers of a file are none that a fit leaves."""
    faults, images = [], configuration.origin.image_matrix
    if not 0 < configuration.scale < math.inf:
        faults.append(f"its scale is {configuration.scale}, expected a positive number")
    if maps.ndim != 3 or not maps.is_complex() or not maps.numel():
        faults.append(f"its coil maps have the shape {tuple(maps.shape)}, expected (coil, y, x) complex")
    elif not all(0 < own <= held for own, held in zip(images, maps.shape[-2:], strict=True)):
        faults.append(f"its images are {images}, its coil maps {tuple(maps.shape)}")
    if not configuration.shares or not all(0 <= share <= 1 for share in configuration.shares):
        faults.append(f"its shares are {configuration.shares}, expected 0 to 1")
    if not np.isfinite(configuration.origin.frame_times).all():
        faults.append("the times of its frames are not finite")
    faults += [f"{name} holds NaN or Inf" for name, held in tensors.items() if not torch.isfinite(held).all()]
    if faults:
        raise DataError(f"{path} is damaged: {'; '.join(faults[:3])}; save it again")


def _fill(module: torch.nn.Module, prefix: str, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """The stored tensors into a module; raises DataError where they are not those that it has."""
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    _compare(own, prefix, tensors, path)
    module.load_state_dict({name: tensors[f"{prefix}{name}"] for name in own})


def _compare(
    shapes: Mapping[str, tuple[int, ...]], prefix: str, tensors: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Raise DataError where the stored tensors of a module have not the shapes that it has."""
    own = {f"{prefix}{name}": shape for name, shape in shapes.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith(prefix)}
    if own != found:
        differing = sorted(name for name in {*own, *found} if own.get(name) != found.get(name))
        told = ", ".join(f"{name} is {found.get(name)}, expected {own.get(name)}" for name in differing[:3])
        raise DataError(f"{path} is incomplete or damaged ({len(differing)} tensors): {told}; save it again")


def _package_version() -> str:
    try:
        return version("gadgetron-pisco")
    except PackageNotFoundError:
        return "unknown"
