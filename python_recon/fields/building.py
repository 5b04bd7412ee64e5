"""Fields from options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.fields.encodings import FourierFeatures, Stiff
from python_recon.fields.field import CoilwiseField, KSpaceField, SeparableField, StiffField
from python_recon.fields.siren import Siren
from python_recon.fields.time_axis import SplineBasis, TemporalHarmonics


class FieldOptions(Section):
    """Kind and size of a field."""

    field: Literal["separable", "stiff", "coilwise"] = "separable"
    """Few temporal functions; the spatio-temporal features of PISCO; or NIK, the coil an input."""
    n_features: int = Field(512, ge=4)
    """Fourier features."""
    sigma: float = Field(5.0, gt=0)
    """Standard deviation of their frequencies."""
    width: int = Field(256, ge=1)
    """Of the sine layers."""
    layers: int = Field(3, ge=1)
    """Sine layers."""
    omega: float = Field(20.0, gt=0)
    """Frequency factor of the sine layers."""
    harmonics: int = Field(0, ge=0)
    """Harmonics of time that the features or the components have; 0: those of a temporal basis learned from
    the scan (separable only)."""
    wraps: bool = False
    """Whether harmonics of scan time wrap, as published: the first and the last moment are forced equal."""
    output_std: float | None = Field(0.01, gt=0)
    """Standard deviation of the untrained output, in units of the largest sample; None: as published."""


class _WithConstant(nn.Module):
    """Temporal functions and the constant."""

    def __init__(self, harmonics: TemporalHarmonics) -> None:
        super().__init__()
        self.harmonics = harmonics
        self.n_functions = harmonics.n_features + 1

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(t)[..., None], self.harmonics(t)], -1)


def build_field(
    options: FieldOptions,
    n_coils: int,
    device: torch.device,
    is_periodic: bool,
    learned_basis: Callable[[], SplineBasis],
    seed: int,
) -> KSpaceField:
    """An untrained field on a device.

    Parameters
    ----------
    is_periodic
        Whether t is a phase.
    learned_basis
        Gives the temporal functions learned from the scan; called only where they are needed.
    seed
        Of features and weights, which are drawn on the CPU: the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    kind: Literal["plain", "periodic"] = "periodic" if is_periodic or options.wraps else "plain"
    harmonics = TemporalHarmonics(kind, max(options.harmonics, 1))
    n_frequencies = options.n_features // 2

    def network(n_in: int, n_out: int) -> Siren:
        return Siren(n_in, options.width, options.layers, n_out, options.omega, generator, options.output_std)

    net: KSpaceField
    if options.field == "coilwise":
        encoding = FourierFeatures.from_normal(n_frequencies, options.sigma, generator, n_dims=4)
        net = CoilwiseField(encoding, n_coils, network)
    elif options.field == "stiff":
        stiff = Stiff.from_normal(options.n_features, options.sigma, generator, harmonics.n_features)
        net = StiffField(stiff, harmonics, n_coils, network)
    else:
        encoding = FourierFeatures.from_normal(n_frequencies, options.sigma, generator)
        is_learned = options.harmonics == 0 and not is_periodic
        temporal = learned_basis() if is_learned else _WithConstant(harmonics)
        net = SeparableField(encoding, temporal, temporal.n_functions, n_coils, network)
    return net.to(device)
