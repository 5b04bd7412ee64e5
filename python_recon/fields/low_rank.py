"""A subspace reconstruction as a field of k-space: where a fit starts.

Its images are a linear layer over Fourier features on the pixel grid, fitted in closed form by FFTs (see
:mod:`python_recon.methods.subspace`); a network then adds what they leave unexplained.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from python_recon.fields.breathing import TemporalBasis
from python_recon.fields.resampling import resample_images
from python_recon.fields.view import FramesAt, View
from python_recon.judging.shares import WHOLE, Shares
from python_recon.operators.nufft import Nufft


class Places:
    """Where components are asked for their signal, perhaps again and again: planned once.

    Parameters
    ----------
    k, t
        (point, 2) and (point,).
    maps
        (coil, y, x) complex.
    temporal
        t (...,) to (..., component).
    """

    def __init__(self, k: torch.Tensor, t: torch.Tensor, maps: torch.Tensor, temporal: TemporalBasis) -> None:
        rows, columns = maps.shape[-2:]
        half = torch.tensor([columns / 2, rows / 2], device=k.device)
        self._nufft = Nufft((k * half)[None, None], (rows, columns))
        self._maps, self._weights = maps, temporal(t).T

    def signals(self, pixels: torch.Tensor) -> Iterator[torch.Tensor]:
        """Signal (point, coil) of each of the components (component, y, x)."""
        for component, weight in zip(pixels, self._weights, strict=True):
            signal = self._nufft.forward((component * self._maps)[None])[0, :, 0]
            yield signal.T * weight[:, None]


class LowRankStart(nn.Module):
    """Component images, coil maps and a temporal basis.

    Parameters
    ----------
    components
        (component, y, x) complex, in units of the scan's largest sample.
    maps
        (coil, y, x) complex.
    temporal
        t (...,) to (..., component).
    """

    pixels: torch.Tensor
    maps: torch.Tensor

    def __init__(self, components: torch.Tensor, maps: torch.Tensor, temporal: TemporalBasis) -> None:
        super().__init__()
        self.register_buffer("pixels", components)
        self.register_buffer("maps", maps, persistent=False)  # those of the scan, which are kept once
        self.temporal = temporal

    def signal(self, k: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Signal (point, coil) at k (point, 2) and t (point,)."""
        result = torch.zeros(len(k), len(self.maps), dtype=self.pixels.dtype, device=k.device)
        for part in Places(k, t, self.maps, self.temporal).signals(self.pixels):
            result += part
        return result

    def grid(self) -> torch.Tensor:
        """Cartesian k-space of the components, (component, y, x, coil)."""
        coil_images = self.pixels[:, None] * self.maps
        shifted = torch.fft.fft2(torch.fft.ifftshift(coil_images, (-2, -1)), norm="ortho")
        return torch.fft.fftshift(shifted, (-2, -1)).permute(0, 2, 3, 1).contiguous()

    def at(self, view: View, shares: Shares = WHOLE) -> FramesAt:
        """The combined images of a view as a function of time."""
        components = view.cut(resample_images(self.pixels, view.matrix))
        return frames_of(components, self.temporal, shares)


def frames_of(components: torch.Tensor, temporal: TemporalBasis, shares: Shares) -> FramesAt:
    """The images of components (component, y, x), each in its share, as a function of time."""

    def frames(t: torch.Tensor) -> torch.Tensor:
        weights = temporal(t) * torch.tensor(shares, device=t.device)
        return torch.einsum("tr,ryx->tyx", weights.to(components.dtype), components)

    return frames
