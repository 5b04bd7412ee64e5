"""Networks on the component images of a series, which are trained on many scans.

A U-Net reads component images u, and what they leave of the data, and says how they should change; the data
mend what it got wrong, see :mod:`~python_recon.networks.consistency`. Scans differ in scale, so that every
component is divided by its largest magnitude, and by the phase of the first one, on the way in; how large
the noise is beside that is told as a channel of its own. A scan with fewer components than the network knows
has zeros in place of the others.

Features that were learned before (:class:`ComponentEncoder`, from :mod:`python_recon.training.features`) may
be joined before the bottleneck, as SSFL-Recon has it (Xu et al., arXiv:2505.23408). The form, two dimensions
and the temporal subspace, is ours.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn

from python_recon.config import Section
from python_recon.networks.consistency import consistent, hermitian
from python_recon.networks.layers import convolution, from_channels, to_channels
from python_recon.solvers.cg import Operator

_OUTPUT = 0.1
"""Share at which the output counts, so that the first steps of a fit are small ones."""
_NOTHING = 1e-30
_TRUST = 100.0
"""In the network against the data, at first: what it changes then is what the images get. The images that it
starts from are smoother than the data want them, and less trust would begin with their noise."""
_MULTIPLE = 4
"""Of pixels: two levels, each with half of the resolution."""


class Architecture(Section):
    """Of a network on component images."""

    components: int = Field(8, ge=1, le=64)
    """Most components of a series."""
    width: int = Field(32, ge=4, le=512)
    """Channels at full resolution; twice as many below."""
    unrolls: int = Field(1, ge=1, le=16)
    """Times that network and data take turns, always with the same weights."""
    data_steps: int = Field(2, ge=1, le=16)
    """Gradient steps towards the data behind the network."""
    has_features: bool = False
    """Whether features that were learned before are joined."""


class ComponentEncoder(nn.Module):
    """Component images to features at a quarter of the resolution: the way down of a U-Net."""

    def __init__(self, components: int, n_in: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.components = components
        self.n_features = 2 * width
        self.first = _block(n_in, width, generator)
        self.second = _block(width, 2 * width, generator)

    def forward(self, channels: torch.Tensor) -> list[torch.Tensor]:
        """(scan, channel, y, x) to what each level found and, last, the features at a quarter of y and x."""
        fine = self.first(channels)
        coarse = self.second(_half(fine))
        return [fine, coarse, _half(coarse)]

    def features(self, components: torch.Tensor, noise: float) -> torch.Tensor:
        """(2 width, y/4, x/4) of component images (component, y, x); see :func:`as_channels`."""
        found: list[torch.Tensor] = self(as_channels(components, noise, self.components)[0])
        return found[-1][0]


class ComponentNetwork(nn.Module):
    """U-Net and data in turns.

    Parameters
    ----------
    architecture
        Its sizes.
    generator
        Of the first weights.
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator) -> None:
        super().__init__()
        components, width = architecture.components, architecture.width
        self.architecture = architecture
        has_features = architecture.has_features
        self.encoder = (
            ComponentEncoder(components, 3 * components, width, generator) if has_features else None
        )
        self.down = ComponentEncoder(components, 5 * components, width, generator)
        self.bottleneck = _block(4 * width if has_features else 2 * width, 2 * width, generator)
        self.coarse = _block(4 * width, width, generator)
        self.fine = _block(2 * width, width, generator)
        self.last = convolution(width, 2 * components, generator)
        nn.init.zeros_(self.last.weight)
        self.log_mu = nn.Parameter(torch.tensor(math.log(_TRUST)))

    def forward(
        self, gram: Operator, components: torch.Tensor, residual: torch.Tensor, noise: float
    ) -> torch.Tensor:
        """The change of component images (component, y, x).

        Parameters
        ----------
        gram
            Normal operator of the data term.
        residual
            Right side of what the components leave of the data.
        noise
            Standard deviation of a sample of the data, in the unit of the images.
        """
        features = self.encoder.features(components, noise) if self.encoder is not None else None
        change, mu = torch.zeros_like(components), self.log_mu.exp()
        for turn in range(self.architecture.unrolls):
            missing = residual if not turn else residual - hermitian(gram, change)
            wanted = change + self.guess(components + change, missing, noise, features)
            change = consistent(gram, wanted, residual, mu, self.architecture.data_steps)
        return change

    def guess(
        self, components: torch.Tensor, missing: torch.Tensor, noise: float, features: torch.Tensor | None
    ) -> torch.Tensor:
        """What the U-Net alone would change, given the images and what they leave of the data."""
        most = self.architecture.components
        channels, scale = as_channels(components, noise, most)
        unexplained = to_channels(missing / scale)
        rows, columns = (of - own for of, own in zip(channels.shape[-2:], missing.shape[-2:], strict=True))
        unexplained = nn.functional.pad(unexplained, (0, columns, 0, rows, 0, 2 * (most - len(missing))))
        fine, coarse, deep = self.down(torch.cat([channels, unexplained[None]], 1))
        joined = deep if features is None else torch.cat([deep, features[None]], 1)
        up = _doubled(self.bottleneck(joined))
        up = _doubled(self.coarse(torch.cat([up, coarse], 1)))
        change = self.last(self.fine(torch.cat([up, fine], 1)))[0]
        count, rows, columns = components.shape
        return _OUTPUT * scale * from_channels(change[..., :rows, :columns])[:count]

    def learnable(self) -> list[nn.Parameter]:
        """Its weights, without those of an encoder that was trained before."""
        own = {id(weight) for weight in self.encoder.parameters()} if self.encoder is not None else set()
        return [weight for weight in self.parameters() if id(weight) not in own]


def as_channels(components: torch.Tensor, noise: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Component images (component, y, x) as (1, 3 count, y, x) real, sides multiples of 4; and their scales.

    Real and imaginary part of each, divided by the scales, then the logarithm of the noise relative to them.
    """
    scale = _scale(components.detach())
    parts = to_channels(components / scale)
    level = (noise / scale.abs().amax((-2, -1), keepdim=True)).clamp(1e-6, 1e2).log10() / 4
    rows, columns = (-side % _MULTIPLE for side in components.shape[-2:])
    missing = count - len(components)
    parts = nn.functional.pad(parts, (0, columns, 0, rows, 0, 2 * missing))
    level = nn.functional.pad(level.expand(-1, *parts.shape[-2:]), (0, 0, 0, 0, 0, missing))
    return torch.cat([parts, level])[None].contiguous(memory_format=torch.channels_last), scale


def _scale(components: torch.Tensor) -> torch.Tensor:
    """(component, y, x) what divides component images: largest magnitude, phase of the first, a sign.

    Coils and shims turn the phase of all components alike, and a basis has its signs by convention only: the
    network need not learn either. Signs are such that the cubes of a component add up to more than 0.
    """
    magnitude = components.abs().amax((-2, -1), keepdim=True).clamp_min(_NOTHING)
    phase = components[:1] / components[:1].abs().clamp_min(_NOTHING)
    phase = torch.where(phase == 0, torch.ones_like(phase), phase)
    real = (components * phase.conj()).real / magnitude
    signs = torch.where(real.pow(3).sum((-2, -1), keepdim=True) < 0, -1.0, 1.0)
    return magnitude * signs * phase


def _block(n_in: int, n_out: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(
        convolution(n_in, n_out, generator), nn.ReLU(), convolution(n_out, n_out, generator), nn.ReLU()
    )


def _half(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(images, 2)


def _doubled(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
