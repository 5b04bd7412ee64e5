"""Neural fields of k-space: a place in k-space and a time in, the signal of all coils out.

Coordinates k are (kx, ky), each from -1 to 1 over the -N/2..N/2 cycles per field of view of its axis; t is
0..1 on a :class:`~python_recon.fields.time_axis.TimeAxis`. Values are in units of the scan's largest sample.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from python_recon.fields.encodings import FourierFeatures, Stiff

MakeNetwork = Callable[[int, int], nn.Module]
"""Numbers of inputs and outputs to a network (point, input) -> (point, output)."""


class KSpaceField(nn.Module):
    """What the fit loop, the losses and the rendering ask of a field."""

    def __init__(self, n_coils: int) -> None:
        super().__init__()
        self.n_coils = n_coils

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Signal (point, coil) at k (point, 2) and t (point,)."""
        raise NotImplementedError

    def at_times(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Signal (time, point, coil) at every k (point, 2) for every t (time,)."""
        return torch.stack([self(k, moment.expand(len(k))) for moment in t])


class SeparableField(KSpaceField):
    """``f(k, t) = sum_r V_r(t) U_r(k)``: a sine network of k times few temporal functions.

    The network gives the components U of all coils; one evaluation of a place serves all times, so that
    tiles and frames cost what one frame would. Partial separability: Liang, doi:10.1109/ISBI.2007.356823.

    Parameters
    ----------
    encoding
        k (point, 2) to (point, feature); tells its ``n_features``.
    temporal
        t (...,) to (..., component).
    n_components
        Functions that ``temporal`` gives.
    make_network
        Makes the network, for which U is real and imaginary parts.
    """

    def __init__(
        self,
        encoding: nn.Module,
        temporal: nn.Module,
        n_components: int,
        n_coils: int,
        make_network: MakeNetwork,
    ) -> None:
        super().__init__(n_coils)
        self.encoding, self.temporal, self.n_components = encoding, temporal, n_components
        self.network = make_network(int(encoding.n_features), 2 * n_components * n_coils)  # type: ignore[arg-type]

    def components(self, k: torch.Tensor) -> torch.Tensor:
        """(point, component, coil)."""
        values = self.network(self.encoding(k)).float()
        return torch.view_as_complex(values.reshape(-1, self.n_components, self.n_coils, 2))

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        weights = self.temporal(t).to(torch.complex64)
        return torch.einsum("prc,pr->pc", self.components(k), weights)

    def at_times(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        weights = self.temporal(t).to(torch.complex64)
        return torch.einsum("prc,tr->tpc", self.components(k), weights)


class StiffField(KSpaceField):
    """The published field of PISCO: spatio-temporal features, all coils at once.

    Spieker et al., doi:10.1016/j.media.2025.103890. With another ``temporal`` module than one periodic
    harmonic the first and the last moment need not be equal.
    """

    def __init__(self, encoding: Stiff, temporal: nn.Module, n_coils: int, make_network: MakeNetwork) -> None:
        super().__init__(n_coils)
        self.encoding, self.temporal = encoding, temporal
        self.network = make_network(encoding.n_features, 2 * n_coils)

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        values = self.network(self.encoding(k, self.temporal(t))).float()
        return torch.view_as_complex(values.reshape(-1, self.n_coils, 2))


class PlainField(KSpaceField):
    """The published field of ICoNIK: features of (t, kx, ky), t from -1 to 1, all coils at once.

    Spieker et al., arXiv:2308.08830.
    """

    def __init__(self, encoding: FourierFeatures, n_coils: int, make_network: MakeNetwork) -> None:
        super().__init__(n_coils)
        self.encoding = encoding
        self.network = make_network(encoding.n_features, 2 * n_coils)

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        values = self.network(self.encoding(torch.cat([(2 * t - 1)[:, None], k], -1))).float()
        return torch.view_as_complex(values.reshape(-1, self.n_coils, 2))


class CoilwiseField(KSpaceField):
    """The published NIK: one complex output, the coil an input coordinate. Huang et al., arXiv:2212.08479.

    Features of (t, coil, kx, ky), t from -1 to 1 as the coils are.
    """

    coils: torch.Tensor

    def __init__(self, encoding: FourierFeatures, n_coils: int, make_network: MakeNetwork) -> None:
        super().__init__(n_coils)
        self.encoding = encoding
        self.network = make_network(encoding.n_features, 2)
        self.register_buffer("coils", torch.linspace(-1, 1, n_coils), persistent=False)

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        shape = (len(k), self.n_coils)
        coordinates = [(2 * t - 1)[:, None].expand(shape), self.coils.expand(shape)]
        coordinates += [each[:, None].expand(shape) for each in k.unbind(-1)]
        values = self.network(self.encoding(torch.stack(coordinates, -1).flatten(0, 1))).float()
        return torch.view_as_complex(values).reshape(shape)
