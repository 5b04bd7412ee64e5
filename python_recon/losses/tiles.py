"""Square tiles of the Cartesian k-space grid.

Every point of a tile is evaluated once; the neighbourhoods of all its inner points are slices of it, where
scattered targets need one evaluation for each neighbour. One tile is one set of
:class:`~python_recon.losses.Pisco`::

    k = tiles.coordinates(n_tiles, generator)            # (tile, y, x, 2)
    loss, kernels = pisco(*slice_patches(field(k), kernel))
"""

from __future__ import annotations

import math

import torch
from torch import nn

from python_recon.errors import ConfigError, ShapeError
from python_recon.losses.kernels import Kernel

LIMIT_TOLERANCE = 1e-6
"""Of limits in k-space, so that points on them fall on the same side on every device."""


def grid_axis(n: int) -> torch.Tensor:
    """The n coordinates -1, -1 + 2/n, ... of a Cartesian grid along one axis, the centre at n // 2."""
    return (torch.arange(n) - n // 2) * (2 / n)


class Tiles(nn.Module):
    """Tiles that lie within the disc of k-space and clear of its centre.

    Parameters
    ----------
    matrix
        (y, x) of the grid.
    size
        Points along each side of a tile; see :func:`tile_size`.
    skip_inside
        Radius around the centre that no tile touches, in grid steps: its energy would outweigh the rest.

    Raises
    ------
    ConfigError
        If no tile fits.
    """

    corners: torch.Tensor
    """(corner, 2) int64, the allowed indices of tiles' first points, x before y."""

    def __init__(self, matrix: tuple[int, int], size: int, skip_inside: float = 2.5) -> None:
        super().__init__()
        step = 2 / min(matrix)
        corners = _allowed_corners(matrix, size, skip_inside * step, 1 - step)
        if size < 1 or not len(corners):
            raise ConfigError(
                f"no tile of {size} points a side fits between the centre and the edge of k-space of matrix "
                f"{matrix}; take smaller tiles, which fewer coils allow"
            )
        self.size = size
        self.register_buffer("corners", corners, persistent=False)
        self.register_buffer("_x", grid_axis(matrix[1]), persistent=False)
        self.register_buffer("_y", grid_axis(matrix[0]), persistent=False)

    def coordinates(self, n_tiles: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Coordinates (tile, y, x, 2) of different tiles drawn at random; fewer if there are fewer."""
        return self.coordinates_of(self.draw(n_tiles, generator))

    def draw(self, n_tiles: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Numbers (tile,) of different tiles drawn at random; fewer if there are fewer."""
        return draw(len(self.corners), n_tiles, self.corners.device, generator)

    def coordinates_of(self, tiles: torch.Tensor) -> torch.Tensor:
        """Coordinates (tile, y, x, 2) of tiles by their numbers."""
        corners = self.corners[tiles]
        index = corners[:, :, None] + torch.arange(self.size, device=corners.device)
        x, y = self.get_buffer("_x")[index[:, 0]], self.get_buffer("_y")[index[:, 1]]
        shape = (len(corners), self.size, self.size)
        return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], -1)


def slice_patches(
    values: torch.Tensor, kernel: Kernel, spacing: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and patches of all points of each tile whose neighbours lie in the tile.

    Parameters
    ----------
    values
        (tile, y, x, coil) or (component, tile, y, x, coil). Components, such as the temporal ones of a
        subspace, obey the same relation between coils; each adds its rows to the set of its tile.
    kernel
        Of the frame ``grid``.
    spacing
        Grid points from neighbour to neighbour.

    Returns
    -------
        Targets (tile, row, coil) and patches (tile, row, neighbour, coil), rows ordered component, y, x.

    Raises
    ------
    ConfigError
        If the kernel is not that of a grid.
    ShapeError
        If the values have other axes or the tiles hold no inner point.
    """
    if kernel.frame != "grid":
        raise ConfigError(f"tiles need a kernel of the frame 'grid'; found {kernel.frame!r}")
    margin = kernel.reach * spacing
    if values.ndim not in (4, 5) or min(values.shape[-3:-1]) <= 2 * margin:
        raise ShapeError(
            f"values are {tuple(values.shape)}; expected (component,) tile, y, x, coil with y and x above "
            f"{2 * margin}"
        )
    values = values[None] if values.ndim == 4 else values

    def shifted(x: int, y: int) -> torch.Tensor:
        inner = values[
            :,
            :,
            margin + y * spacing : values.shape[2] - margin + y * spacing,
            margin + x * spacing : values.shape[3] - margin + x * spacing,
        ]
        return inner.transpose(0, 1).flatten(1, 3)

    return shifted(0, 0), torch.stack([shifted(x, y) for x, y in kernel.steps], 2)


def tile_size(
    n_coils: int, kernel: Kernel, oversampling: float = 3.0, spacing: int = 1, n_components: int = 1
) -> int:
    """Smallest side of a tile that gives at least ``oversampling`` rows for each unknown of a kernel."""
    rows = oversampling * kernel.n_neighbours * n_coils / n_components
    return math.ceil(math.sqrt(rows)) + 2 * kernel.reach * spacing


def draw(n: int, count: int, device: torch.device, generator: torch.Generator | None = None) -> torch.Tensor:
    """Indices (count,) below n without repetition, in random order; n of them if that is fewer."""
    source = device if generator is None else generator.device
    return torch.randperm(n, generator=generator, device=source)[:count].to(device)


def _allowed_corners(matrix: tuple[int, int], size: int, inner: float, outer: float) -> torch.Tensor:
    """(corner, 2) of the tiles with all points at radii above ``inner`` and up to ``outer``."""
    spans = []
    for n in reversed(matrix):
        axis = grid_axis(n)
        first, last = axis[: max(n - size + 1, 0)], axis[size - 1 :]
        farthest = torch.maximum(first.abs(), last.abs())
        nearest = torch.where((first <= 0) & (last >= 0), 0.0, torch.minimum(first.abs(), last.abs()))
        spans.append((nearest, farthest))
    (near_x, far_x), (near_y, far_y) = spans
    is_outside_centre = torch.hypot(near_x[None], near_y[:, None]) > inner + LIMIT_TOLERANCE
    is_inside_disc = torch.hypot(far_x[None], far_y[:, None]) <= outer + LIMIT_TOLERANCE
    return (is_outside_centre & is_inside_disc).nonzero().flip(-1)
