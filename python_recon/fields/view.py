"""Which pixels are rendered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from python_recon.errors import ConfigError

FramesAt = Callable[[torch.Tensor], torch.Tensor]
"""Coordinates t (time,) to images (time, y, x) of a view."""


@dataclass(frozen=True)
class View:
    """A window of a matrix that spans the field of view."""

    matrix: tuple[int, int]
    """(y, x)."""
    rows: tuple[int, int]
    """First row, and the one after the last."""
    columns: tuple[int, int]

    def __post_init__(self) -> None:
        for name, (first, end), size in zip(
            ("rows", "columns"), (self.rows, self.columns), self.matrix, strict=True
        ):
            if not 0 <= first < end <= size:
                raise ConfigError(
                    f"{name} {first} to {end} of {size} cannot be rendered: expected a first one, and after "
                    f"it an end, within 0 to {size}"
                )

    @classmethod
    def whole(cls, matrix: tuple[int, int]) -> View:
        """All pixels of a matrix (y, x)."""
        return cls(matrix, (0, matrix[0]), (0, matrix[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x) of the window."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def cut(self, images: torch.Tensor) -> torch.Tensor:
        """The window of images (..., y, x) of the matrix."""
        return images[..., slice(*self.rows), slice(*self.columns)]

    def places(self, device: torch.device) -> torch.Tensor:
        """Places (pixel, 2) of the window as (x, y), row by row, each 0..1; the isocentre is at 1/2."""
        y, x = (
            (torch.arange(*ends, device=device) - n // 2) / n + 0.5
            for ends, n in zip((self.rows, self.columns), self.matrix, strict=True)
        )
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
