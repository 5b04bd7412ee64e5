"""Neighbourhoods in k-space, from which parallel imaging predicts their centre.

Steps are (x, y) pairs. In the frame ``grid`` x is kx and y is ky. In the frame ``spoke`` the neighbourhood is
turned with its target: x points outwards along the spoke, y across it. In the frame ``polar`` x changes the
radius and y the angle.

Only in the frame ``grid`` do all targets share one relation, as in GRAPPA (doi:10.1002/mrm.10171). A turned
neighbourhood has another one at every angle; it is approximately the same within a narrow sector.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import nn

from python_recon.errors import ConfigError

Steps: TypeAlias = tuple[tuple[int, int], ...]
Frame: TypeAlias = Literal["grid", "spoke", "polar"]

SQUARE: Steps = tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1))
WITHOUT_CENTRE: Steps = tuple(step for step in SQUARE if step != (0, 0))
WITHOUT_ROW: Steps = tuple(step for step in SQUARE if step[1] != 0)
WITHOUT_COLUMN: Steps = tuple(step for step in SQUARE if step[0] != 0)

GEOMETRIES: dict[str, tuple[tuple[Steps, Frame], ...]] = {
    "without_row": ((WITHOUT_ROW, "grid"),),
    "without_column": ((WITHOUT_COLUMN, "grid"),),
    "alternating": ((WITHOUT_ROW, "grid"), (WITHOUT_COLUMN, "grid")),
    "without_centre": ((WITHOUT_CENTRE, "grid"),),
    "spoke": ((WITHOUT_ROW, "spoke"),),
    "polar": ((WITHOUT_ROW, "polar"),),
}
"""Kernels by name; of several, one after the other is used. ``spoke`` and ``polar`` have no neighbours on the
spoke of the target itself, where neighbouring samples are known anyway."""


class Kernel(nn.Module):
    """Where the neighbours of a target lie."""

    offsets: torch.Tensor
    """(neighbour, 2) float32: the steps, on the device of the module."""

    def __init__(self, steps: Steps, frame: Frame = "grid") -> None:
        super().__init__()
        self.steps = steps
        self.frame = frame
        self.register_buffer("offsets", torch.tensor(steps, dtype=torch.float32), persistent=False)

    @property
    def n_neighbours(self) -> int:
        return len(self.steps)

    @property
    def reach(self) -> int:
        """Steps to the farthest neighbour along an axis."""
        return max(abs(step) for pair in self.steps for step in pair)

    def forward(self, targets_k: torch.Tensor, spacing: torch.Tensor) -> torch.Tensor:
        """Coordinates of the neighbours.

        Parameters
        ----------
        targets_k
            (..., 2).
        spacing
            (2,), length of a step along kx and ky. In the frame ``polar``, a step in angle is as long as
            that at half the largest radius.

        Returns
        -------
            (..., neighbour, 2).
        """
        if self.frame == "grid":
            return targets_k[..., None, :] + self.offsets * spacing
        # Turned in units of steps, so that grids with unequal sides turn rigidly too.
        position = (targets_k / spacing)[..., None, :]
        angle = torch.atan2(position[..., 1], position[..., 0])
        along, across = self.offsets.unbind(-1)
        if self.frame == "polar":
            radius = position.norm(dim=-1) + along
            return torch.stack(_on_circle(radius, angle + 2 * spacing.mean() * across), -1) * spacing
        cos, sin = angle.cos(), angle.sin()
        turned = torch.stack([along * cos - across * sin, along * sin + across * cos], -1)
        return (position + turned) * spacing


def kernels_of(geometry: str) -> list[Kernel]:
    """The kernels of a geometry.

    Raises
    ------
    ConfigError
        If there is no geometry of that name.
    """
    if geometry not in GEOMETRIES:
        raise ConfigError(f"geometry {geometry!r} is unknown; expected one of {', '.join(GEOMETRIES)}")
    return [Kernel(*kernel) for kernel in GEOMETRIES[geometry]]


def _on_circle(radius: torch.Tensor, angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return radius * angle.cos(), radius * angle.sin()
