"""A field of k-space as a correction by its neighbourhoods sees it: Spieker et al., arXiv:2308.08830."""

from __future__ import annotations

import torch
from torch import nn

from python_recon.fields.field import KSpaceField
from python_recon.losses import Iconik

TOGETHER = 4096
"""Neighbourhoods evaluated together: nine times as many points of the field."""


class CorrectedField(KSpaceField):
    """A field as its correction sees it.

    Parameters
    ----------
    field
        Is evaluated on neighbourhoods.
    correction
        Of as many coils.
    spacing
        (2,), distance of neighbours along kx and ky.
    """

    spacing: torch.Tensor

    def __init__(self, field: KSpaceField, correction: Iconik, spacing: torch.Tensor) -> None:
        super().__init__(field.n_coils)
        self.field, self.correction = field, correction
        self.register_buffer("spacing", spacing)

    def forward(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def corrected(k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            values = self.field(self._around(k), t.repeat_interleave(9))
            result: torch.Tensor = self.correction(values.reshape(-1, 3, 3, self.n_coils))
            return result

        parts = zip(torch.split(k, TOGETHER), torch.split(t, TOGETHER), strict=True)
        return torch.cat([corrected(*part) for part in parts])

    def at_times(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def corrected(k: torch.Tensor) -> torch.Tensor:
            values = self.field.at_times(self._around(k), t)
            result: torch.Tensor = self.correction(values.reshape(-1, 3, 3, self.n_coils))
            return result.reshape(len(t), len(k), self.n_coils)

        return torch.cat([corrected(part) for part in torch.split(k, TOGETHER)], 1)

    def train_only(self, module: nn.Module) -> None:
        """Freeze all but one of the two, the field or the correction."""
        self.requires_grad_(False)
        module.requires_grad_(True)

    def _around(self, k: torch.Tensor) -> torch.Tensor:
        return self.correction.neighbourhood(k, self.spacing).flatten(0, 2)
