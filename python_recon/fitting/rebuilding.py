"""Networks from what a file says of them: built from their options, without the scan, to be filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from python_recon.config import Section
from python_recon.errors import ConfigError
from python_recon.fields.breathing import BreathingBasis, TemporalBasis
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.corrected import CorrectedField
from python_recon.fields.field import CoilwiseField, KSpaceField, SeparableField, StiffField
from python_recon.fields.image_field import (
    ComponentField,
    Correction,
    ImageField,
    ImageFieldOptions,
    SpaceTimeField,
    SpaceTimeOptions,
)
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import AxisKind, SplineBasis
from python_recon.losses import Iconik

_S = TypeVar("_S", bound=Section)

Kind = Literal["k-space", "corrected k-space", "components", "correction of components", "space-time", "none"]

_KINDS: Mapping[type[nn.Module], Kind] = {
    SeparableField: "k-space",
    StiffField: "k-space",
    CoilwiseField: "k-space",
    CorrectedField: "corrected k-space",
    ComponentField: "components",
    Correction: "correction of components",
    SpaceTimeField: "space-time",
}


def kind_of(net: nn.Module | None) -> Kind:
    """What a network is; raises ConfigError where it could not be rebuilt."""
    if net is None:
        return "none"
    kind = _KINDS.get(type(net))
    if kind is None or (isinstance(net, CorrectedField) and _KINDS.get(type(net.field)) != "k-space"):
        raise ConfigError(
            f"a field of the kind {type(net).__name__} cannot be saved; expected one of "
            f"{', '.join(known.__name__ for known in _KINDS)}"
        )
    return kind


class _NothingHeld(TorchFunctionMode):
    """What is asked for on the CPU goes to the meta device, which knows shapes only."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if kwargs.get("device") == torch.device("cpu"):
            kwargs = {**kwargs, "device": torch.device("meta")}
        return func(*args, **kwargs)


@dataclass(frozen=True)
class Blueprint:
    """What a network is rebuilt from."""

    kind: Kind
    options: Mapping[str, Any]
    """Those of the method that made it, more than the network has."""
    maps: torch.Tensor
    """(coil, y, x) of the scan."""
    axis_kind: AxisKind
    find: Callable[[str], torch.Tensor]
    """The stored tensor of a name."""
    has: Callable[[str], bool]
    """Whether a tensor of a name is stored."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what the network holds, told without the memory that it would take."""
        with torch.device("meta"), _NothingHeld():
            net = self.net()
        return {} if net is None else {name: tuple(held.shape) for name, held in net.state_dict().items()}

    def net(self) -> KSpaceField | ImageField | None:
        """The network, on the CPU, its parameters still to be filled."""
        if self.kind == "none":
            return None
        if self.kind in ("k-space", "corrected k-space"):
            return self._of_kspace()
        if self.kind == "space-time":
            return SpaceTimeField(0.0, self._own(SpaceTimeOptions), torch.Generator())
        if self.kind == "components":
            return self._components("net.")
        return Correction(self._components("net.field."), self.low_rank("net.taught."))

    def low_rank(self, prefix: str) -> LowRankStart:
        """A series in its subspace, whose tensors have a prefix."""
        pixels = torch.zeros_like(self.find(f"{prefix}pixels"))
        return LowRankStart(pixels, self.maps, self._temporal(f"{prefix}temporal."))

    def _of_kspace(self) -> KSpaceField:
        is_corrected = self.kind == "corrected k-space"
        prefix = "net.field.temporal." if is_corrected else "net.temporal."
        net = build_field(
            self._own(FieldOptions),
            len(self.maps),
            torch.empty(0).device,  # that of the block around
            self.axis_kind,
            (lambda: self._temporal(prefix)) if self._has_temporal(prefix) else None,
            seed=0,
        )
        return CorrectedField(net, Iconik(len(self.maps)), torch.zeros(2)) if is_corrected else net

    def _components(self, prefix: str) -> ComponentField:
        matrix = (self.maps.shape[-2], self.maps.shape[-1])
        temporal, options = self._temporal(f"{prefix}temporal."), self._own(ImageFieldOptions)
        return ComponentField(temporal, 0.0, matrix, options, torch.Generator())

    def _temporal(self, prefix: str) -> TemporalBasis:
        """A temporal basis of the stored size."""
        knows_breath = self.has(f"{prefix}loadings")
        coefficients = self.find(f"{prefix}{'of_time.' if knows_breath else ''}coefficients")
        is_periodic = self.axis_kind == "periodic"
        n_frames = max(coefficients.shape[1] - 1 - is_periodic, 1)
        basis, times = np.zeros((n_frames, coefficients.shape[2])), np.arange(n_frames) / n_frames
        if knows_breath:
            return BreathingBasis(basis, times, 0 * times)
        return SplineBasis(basis, times, is_periodic=is_periodic)

    def _has_temporal(self, prefix: str) -> bool:
        return self.has(f"{prefix}coefficients") or self.has(f"{prefix}loadings")

    def _own(self, section: type[_S]) -> _S:
        """The options that make the network."""
        return section.model_validate(
            {key: value for key, value in self.options.items() if key in section.model_fields}
        )
