"""Fields from options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.errors import ConfigError
from python_recon.fields.breathing import TemporalBasis
from python_recon.fields.encodings import FourierFeatures, Stiff
from python_recon.fields.field import CoilwiseField, KSpaceField, PlainField, SeparableField, StiffField
from python_recon.fields.hash_grid import HashGrid
from python_recon.fields.mlp import Mlp
from python_recon.fields.siren import Siren
from python_recon.fields.sizes import Layers, Width
from python_recon.fields.time_axis import AxisKind, TemporalHarmonics, harmonics_of


class FieldOptions(Section):
    """Kind and size of a field."""

    field: Literal["separable", "stiff", "plain", "coilwise"] = "separable"
    """separable: few temporal functions; stiff: spatio-temporal features as in PISCO; plain: features of time
    and place as in ICoNIK; coilwise: NIK, with the coil as an input."""
    encoding: Literal["fourier", "hash"] = "fourier"
    """fourier: Fourier features and sine layers; hash: a hash grid of k-space and ReLU layers (separable
    only)."""
    n_features: int = Field(512, ge=4, le=16384)
    """Number of Fourier features."""
    sigma: float = Field(5.0, gt=0, le=1000)
    """Standard deviation of the frequencies of the features."""
    width: Width = 128
    """Width of the layers."""
    layers: Layers = 3
    """Number of sine or ReLU layers, without the linear output layer."""
    omega: float = Field(20.0, gt=0, le=1000)
    """Frequency factor of the sine layers."""
    harmonics: int = Field(0, ge=0, le=1024)
    """Harmonics of time that the features or the components have; 0: those of a temporal basis learned from
    the scan (separable only)."""
    wraps: bool = False
    """Whether harmonics of scan time wrap, as published: the first and the last moment are forced equal."""
    output_std: float | None = Field(0.01, gt=0, le=1000)
    """Standard deviation of the untrained output, in units of the largest sample; None: as published."""


class _WithConstant(nn.Module):
    """Temporal functions and the constant."""

    def __init__(self, harmonics: TemporalHarmonics) -> None:
        super().__init__()
        self.harmonics = harmonics
        self.n_functions = harmonics.n_features + 1

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(t)[..., None], self.harmonics(t)], -1)


class HashEncoding(nn.Module):
    """A hash grid over k-space (point, 2), -1..1; its finest cells are about one step of a matrix of 128."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.grid = HashGrid(2, generator, n_levels=5, n_features=4, log2_table_size=16, base_resolution=8)
        self.n_features = self.grid.n_features

    def forward(self, k: torch.Tensor) -> torch.Tensor:
        return self.grid((k + 1) / 2)  # type: ignore[no-any-return]


def build_field(
    options: FieldOptions,
    n_coils: int,
    device: torch.device,
    axis_kind: AxisKind,
    learned_basis: Callable[[], TemporalBasis] | None,
    seed: int,
) -> KSpaceField:
    """An untrained field on a device.

    Parameters
    ----------
    options
        Kind and size.
    axis_kind
        What t is.
    learned_basis
        Gives the temporal functions learned from the scan, called only where they are needed; None: these are
        no functions of t, and one harmonic is taken instead.
    seed
        Of features and weights, which are drawn on the CPU: the same on every device.

    Raises
    ------
    ConfigError
        If the encoding does not go with the kind of field.
    """
    if options.encoding == "hash" and options.field != "separable":
        raise ConfigError(f"options.encoding hash goes with field separable, not with {options.field!r}")
    generator = torch.Generator().manual_seed(seed)
    kind: Literal["plain", "periodic"] = "periodic" if options.wraps else harmonics_of(axis_kind)
    harmonics = TemporalHarmonics(kind, max(options.harmonics, 1))
    n_frequencies = options.n_features // 2

    def network(n_in: int, n_out: int) -> nn.Module:
        if options.encoding == "hash":
            return Mlp(n_in, options.width, options.layers, n_out, generator)
        return Siren(n_in, options.width, options.layers, n_out, options.omega, generator, options.output_std)

    net: KSpaceField
    if options.field == "coilwise":
        encoding = FourierFeatures.from_normal(n_frequencies, options.sigma, generator, n_dims=4)
        net = CoilwiseField(encoding, n_coils, network)
    elif options.field == "plain":
        encoding = FourierFeatures.from_normal(n_frequencies, options.sigma, generator, n_dims=3)
        net = PlainField(encoding, n_coils, network)
    elif options.field == "stiff":
        stiff = Stiff.from_normal(options.n_features, options.sigma, generator, harmonics.n_features)
        net = StiffField(stiff, harmonics, n_coils, network)
    else:
        features: nn.Module = (
            HashEncoding(generator)
            if options.encoding == "hash"
            else FourierFeatures.from_normal(n_frequencies, options.sigma, generator)
        )
        temporal = learned_basis() if learned_basis and options.harmonics == 0 else _WithConstant(harmonics)
        net = SeparableField(features, temporal, temporal.n_functions, n_coils, network)
    return net.to(device)
