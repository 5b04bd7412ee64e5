"""Correction of a neural k-space by its own neighbourhoods (ICoNIK), Spieker et al., arXiv:2308.08830.

The field is evaluated on a 3 x 3 neighbourhood of each sample, the sample itself is blanked, and three
complex convolutions over all coils, with a ReLU of real and imaginary parts between them, give its value
anew. First the convolutions are calibrated on the innermost samples while the field is frozen, then the field
is refined through the frozen convolutions; both with the loss :func:`~python_recon.losses.hdr`.

Three 3 x 3 convolutions on a 3 x 3 neighbourhood can be read in several ways. Here the first two pad with
zeros and keep the neighbourhood's shape, and the last one is taken at its centre: each of them sees all nine
points. Without padding the second and third would be 1 x 1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from python_recon.errors import ShapeError
from python_recon.losses.kernels import SQUARE, Kernel


class Iconik(nn.Module):
    """Maps a neighbourhood (point, 3, 3, coil) to the value (point, coil) at its centre.

    Without bias, so that the correction of c times a k-space is c times the correction, for positive c.

    Parameters
    ----------
    n_coils
        Coils, in and out.
    generator
        For the initial weights, which keep the expected power (He et al., arXiv:1502.01852).
    """

    def __init__(self, n_coils: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        shape = (n_coils, n_coils, 3, 3, 2)
        fan_in = 9 * n_coils
        # Real parameters: optimisers with fused or low-precision steps know no complex ones.
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(shape, generator=generator) * (gain / fan_in) ** 0.5)
            for gain in (1.0, 1.0, 0.5)
        )
        is_neighbour = torch.ones(3, 3, 1)
        is_neighbour[1, 1] = 0
        self.register_buffer("_is_neighbour", is_neighbour, persistent=False)
        self._around = Kernel(SQUARE)

    def neighbourhood(self, k: torch.Tensor, spacing: torch.Tensor) -> torch.Tensor:
        """Coordinates (point, 3, 3, 2), rows along ky, around k (point, 2); spacing (2,) along kx and ky."""
        points: torch.Tensor = self._around(k, spacing)
        return points.reshape(len(k), 3, 3, 2)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Value (point, coil) from values (point, 3, 3, coil) at :meth:`neighbourhood`; rows are ky.

        Raises
        ------
        ShapeError
            If the values have other axes or coils.
        """
        n_coils = len(self.weights[0])
        if values.shape[1:] != (3, 3, n_coils):
            raise ShapeError(f"values are {tuple(values.shape)}; expected (point, 3, 3, {n_coils})")
        x = (values * self.get_buffer("_is_neighbour")).permute(0, 3, 1, 2)
        first, second, third = (torch.view_as_complex(weight) for weight in self.weights)
        x = _relu(functional.conv2d(x, first, padding=1))
        x = _relu(functional.conv2d(x, second, padding=1))
        return functional.conv2d(x, third)[:, :, 0, 0]


def innermost(k: torch.Tensor, share: float = 0.4) -> torch.Tensor:
    """Indices of the share of the samples k (point, 2) that is nearest to the centre, to calibrate on."""
    return k.norm(dim=-1).argsort()[: round(share * len(k))]


def _relu(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(torch.view_as_real(values).relu())
