"""SENSE: images of every frame to the k-space of all coils."""

from __future__ import annotations

import torch

from python_recon.acquisition.encoding import encoding_of
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ShapeError
from python_recon.operators.nufft import Library, Nufft
from python_recon.resources.parallel import side_by_side


class Sense:
    """``F S``: (frame, y, x) -> (frame, coil, spoke, readout), and its adjoint.

    Parameters
    ----------
    kspace
        Gives trajectory, matrix and device.
    maps
        Coil maps (coil, y, x).
    tolerance
        Relative accuracy of the NUFFT.
    library
        Of the NUFFT.
    """

    def __init__(
        self, kspace: KSpace, maps: CoilMaps, tolerance: float = 1e-3, library: Library = "auto"
    ) -> None:
        self._nufft = Nufft(kspace.trajectory, kspace.matrix, tolerance, library)
        self._maps = maps.maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self._nufft.forward(images[:, None] * self._maps)
        return result

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """Blocks of frames, each combined at once: on a CPU side by side, and coil images in the cache."""
        self._nufft.check_kspace(kspace)

        def images(part: slice) -> torch.Tensor:
            return torch.cat([self._adjoint_of(kspace, block) for block in self._nufft.blocks(part)])

        return torch.cat(side_by_side(images, len(kspace), kspace.device))

    def _adjoint_of(self, kspace: torch.Tensor, block: slice) -> torch.Tensor:
        return combine(self._nufft.of_frames(block).adjoint(kspace[block]), self._maps)


def combine(coil_images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Matched-filter combination of (frame, coil, y, x) with maps (doi:10.1002/mrm.1910160203)."""
    return torch.einsum("fcyx,cyx->fyx", coil_images, maps.conj())


def data_weights(kspace: KSpace) -> torch.Tensor:
    """Weights of the data term, (frame, spoke, readout): every cell of k-space counts about once.

    Density compensation undoes the oversampling of the centre. Where spokes are further apart than
    Nyquist demands it would weigh a sample for the empty space around it, which amplifies its noise and
    spoils the conditioning; there a sample counts for its own cell only, one cycle per field of view wide.
    With these weights the normal operator has eigenvalues between 0 and about 1.
    """
    return encoding_of(kspace).data_weights(kspace, density_of(kspace))


def density_of(kspace: KSpace) -> torch.Tensor:
    """Density compensation of prepared k-space."""
    density = kspace.density
    if density is None:
        raise ShapeError("the k-space has no density compensation; fill_density computes it")
    tensor: torch.Tensor = density
    return tensor


def undersampling(kspace: KSpace) -> torch.Tensor:
    """How many times more samples than the scan has it would take to sample a still object fully."""
    return encoding_of(kspace).undersampling(kspace, density_of(kspace))
