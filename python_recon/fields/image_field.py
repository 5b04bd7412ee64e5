"""Neural fields of images: a place in the field of view and a time in, the complex image out.

Places are (x, y), each 0..1 across the field of view, whatever the matrix: a field is rendered on finer
pixels by asking it there. t is 0..1 on a :class:`~python_recon.fields.time_axis.TimeAxis`. Values are in
units of the scan's largest sample, like those of the fields of k-space.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.fields.breathing import TemporalBasis
from python_recon.fields.hash_grid import HashGrid
from python_recon.fields.low_rank import LowRankStart, frames_of
from python_recon.fields.mlp import Mlp
from python_recon.fields.resampling import resample_images
from python_recon.fields.sizes import Cells, Features, Layers, TableSize, Width
from python_recon.fields.view import FramesAt, View
from python_recon.judging.shares import WHOLE, Shares
from python_recon.operators.reach import DISC, within_reach

_POINTS = 1 << 18
"""Places evaluated together."""


class ImageFieldOptions(Section):
    """Size of a field of component images."""

    levels: int = Field(6, ge=2, le=32)
    """Levels of the hash grid."""
    features: Features = 4
    """Features of a level."""
    coarsest_cells: Cells = 8
    """Cells of the coarsest level along an axis."""
    cells_per_pixel: float = Field(1.0, gt=0, le=16)
    """Of the finest level, along an axis."""
    log2_table_size: TableSize = 18
    """Most entries of a level, as a power of two."""
    width: Width = 64
    """Of the ReLU layers."""
    layers: Layers = 2
    """ReLU layers, the linear output not counted."""


class SpaceTimeOptions(Section):
    """Size of a field of (x, y, t)."""

    levels: int = Field(16, ge=1, le=32)
    """Levels of the hash grid."""
    features: Features = 2
    """Features of a level."""
    log2_table_size: TableSize = 19
    """Most entries of a level, as a power of two; 24 was published and takes some 10 GB."""
    base_resolution: Cells = 16
    """Cells of the coarsest level along an axis."""
    scale: float = Field(2.0, ge=1, le=4)
    """Ratio of the resolutions of successive levels."""
    width: Width = 128
    """Of the ReLU layers."""
    layers: Layers = 5
    """ReLU layers, the linear output not counted."""


class ImageField(nn.Module):
    """What rendering asks of a field."""

    def at(self, view: View, shares: Shares = WHOLE) -> FramesAt:
        """The images of a view as a function of time; ``shares`` of its components, or one of all of it."""
        raise NotImplementedError


class ComponentField(ImageField):
    """``m(x, y, t) = sum_r V_r(t) U_r(x, y)``: a hash grid and a small network give all U_r of a place.

    Time costs nothing: one evaluation of a place serves every moment. The spatial half of the Subspace INR
    (arXiv:2412.12742); the temporal half is known from the scan and not fitted.

    Parameters
    ----------
    temporal
        t (...,) to (..., component).
    amplitude
        Order of magnitude of the components, the unit of the network's output.
    matrix
        (y, x) of the scan, by which the finest cells are chosen.
    generator
        Of the first weights; on the CPU, so that every device starts alike.
    """

    amplitude: torch.Tensor

    def __init__(
        self,
        temporal: TemporalBasis,
        amplitude: float,
        matrix: tuple[int, int],
        options: ImageFieldOptions,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.temporal, self.matrix = temporal, matrix
        finest = options.cells_per_pixel * max(matrix)
        ratio = max(1.0, finest / options.coarsest_cells) ** (1 / (options.levels - 1))
        self.grid = HashGrid(
            2,
            generator,
            n_levels=options.levels,
            n_features=options.features,
            log2_table_size=options.log2_table_size,
            base_resolution=options.coarsest_cells,
            scale=ratio,
        )
        n_outputs = 2 * temporal.n_functions
        self.network = Mlp(self.grid.n_features, options.width, options.layers, n_outputs, generator)
        self.register_buffer("amplitude", torch.tensor(amplitude))

    def components(self, view: View) -> torch.Tensor:
        """U on the pixels of a view: (component, y, x) complex."""
        places = view.places(self.amplitude.device)
        values = torch.cat([self.network(self.grid(part)) for part in torch.split(places, _POINTS)])
        pairs = values.T.reshape(self.temporal.n_functions, 2, *view.shape)
        return self.amplitude * torch.complex(pairs[:, 0], pairs[:, 1])

    @torch.no_grad()
    def take_over(self, former: ComponentField, t: torch.Tensor) -> bool:
        """Begin with the images of a former field at t (time,); False where its size is another.

        Its components belong to another basis: the linear output is mixed into those of this one.
        """
        sizes = [{name: p.shape for name, p in net.named_parameters()} for net in (former, self)]
        if sizes[0] != sizes[1]:
            return False
        curves = former.temporal(t.to(former.amplitude.device)).to(t.device)
        mixing = torch.linalg.pinv(self.temporal(t)) @ curves
        pairs = torch.kron(mixing, torch.eye(2, device=t.device))
        self.grid.load_state_dict(former.grid.state_dict())
        self.network.load_state_dict(former.network.state_dict())
        output: Any = self.network.layers[-1]
        output.weight.copy_(pairs @ output.weight)
        output.bias.copy_(pairs @ output.bias)
        return True

    def at(self, view: View, shares: Shares = WHOLE) -> FramesAt:
        return frames_of(self.components(view), self.temporal, shares)


class SpaceTimeField(ImageField):
    """``m(x, y, t)``: a hash grid of three dimensions and a ReLU network, as published.

    Feng et al., doi:10.1109/TMI.2025.3526452.

    Parameters
    ----------
    amplitude, generator
        As for :class:`ComponentField`.
    """

    amplitude: torch.Tensor

    def __init__(self, amplitude: float, options: SpaceTimeOptions, generator: torch.Generator) -> None:
        super().__init__()
        self.grid = HashGrid(
            3,
            generator,
            n_levels=options.levels,
            n_features=options.features,
            log2_table_size=options.log2_table_size,
            base_resolution=options.base_resolution,
            scale=options.scale,
        )
        size = (self.grid.n_features, options.width, options.layers, 2)
        self.network = Mlp(*size, generator, has_biases=False, is_smooth=False)
        self.register_buffer("amplitude", torch.tensor(amplitude))

    def images(self, t: torch.Tensor, view: View, level_weights: torch.Tensor | None = None) -> torch.Tensor:
        """(time, y, x) at t (time,); ``level_weights`` (level,) scale the levels of the grid."""
        places = view.places(t.device)
        moments = t[:, None, None].expand(-1, len(places), 1)
        points = torch.cat([places.expand(len(t), -1, -1), moments], -1).flatten(0, 1)
        values = self.network(self.grid(points, level_weights))
        return self.amplitude * torch.view_as_complex(values).reshape(len(t), *view.shape)

    def at(self, view: View, shares: Shares = WHOLE) -> FramesAt:
        (share,) = shares
        return lambda t: torch.cat([share * self.images(moment, view) for moment in torch.split(t, 1)])


class Correction(ImageField):
    """What a field adds to the start that it was taught, in the disc of k-space that spokes reach.

    Between pixels it is interpolated by its k-space.
    """

    def __init__(self, field: ComponentField, taught: LowRankStart) -> None:
        super().__init__()
        self.field, self.taught = field, taught

    def at(self, view: View, shares: Shares = WHOLE) -> FramesAt:
        parts = (self.field.components(View.whole(self.field.matrix)), self.taught.pixels)
        seen = [view.cut(resample_images(within_reach(part, DISC), view.matrix)) for part in parts]
        fitted = frames_of(seen[0], self.field.temporal, shares)
        taught = frames_of(seen[1], self.taught.temporal, shares)
        return lambda t: fitted(t) - taught(t)
