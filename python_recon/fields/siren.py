"""Networks of sine layers (SIREN): Sitzmann et al., arXiv:2006.09661."""

from __future__ import annotations

import math

import torch
from torch import nn

from python_recon.fields.mlp import uniform_linear


class SineLayer(nn.Module):
    """``sin(omega (W x + b))``; ``n_out (n_in + 1)`` parameters.

    Weights start from U(-1/n_in, 1/n_in) in a network's first layer and U(-c, c), c = sqrt(6/n_in)/omega, in
    the others, which gives the phases ``omega W x`` unit variance in every layer but the first; biases from
    U(-1/sqrt(n_in), 1/sqrt(n_in)).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        omega: float,
        generator: torch.Generator,
        *,
        is_first: bool = False,
        has_small_bias: bool = False,
    ) -> None:
        super().__init__()
        self.omega = omega
        bound = 1 / n_in if is_first else math.sqrt(6 / n_in) / omega
        bias_bound = bound if has_small_bias else 1 / math.sqrt(n_in)
        self.linear = uniform_linear(n_in, n_out, bound, bias_bound, generator)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(..., n_in) -> (..., n_out) within -1..1."""
        return torch.sin(self.omega * self.linear(features))


class Siren(nn.Module):
    """Sine layers of one width and a linear output.

    ``width (n_in + 1) + (n_layers - 1) width (width + 1) + n_out (width + 1)`` parameters. The output layer's
    published start is that of a sine layer: the output begins with a standard deviation of about 1/omega.

    Parameters
    ----------
    n_layers
        Number of sine layers, the output not counted.
    omega
        Published with 30 (Huang et al., arXiv:2212.08479) and 20 (Spieker et al.,
        doi:10.1016/j.media.2025.103890).
    output_std
        Standard deviation, nearly, that the output starts with; its bias then starts from 0, and those of the
        sine layers are as small as their weights, which leaves the phases to the features. Small against the
        data it spares the first steps the unlearning of noise. None: the published start.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        n_layers: int,
        n_out: int,
        omega: float,
        generator: torch.Generator,
        output_std: float | None = None,
    ) -> None:
        super().__init__()
        is_ours = output_std is not None
        hidden = [SineLayer(n_in, width, omega, generator, is_first=True, has_small_bias=is_ours)]
        hidden += [
            SineLayer(width, width, omega, generator, has_small_bias=is_ours) for _ in range(n_layers - 1)
        ]
        self.hidden = nn.Sequential(*hidden)
        # A sine's mean square is about 1/2, and a weight from U(-c, c) has the variance c^2 / 3.
        weight_bound = math.sqrt(6 / width) * (1 / omega if output_std is None else output_std)
        bias_bound = 1 / math.sqrt(width) if output_std is None else 0.0
        self.output = uniform_linear(width, n_out, weight_bound, bias_bound, generator)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(..., n_in) -> (..., n_out)."""
        return self.output(self.hidden(features))  # type: ignore[no-any-return]
