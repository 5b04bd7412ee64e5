"""A slab of sheets: what a volume scan sees of an object that changes along z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from python_recon.phantom.phantom import FIELD_OF_VIEW_MM, Phantom

_EDGE = 0.08
"""Share of the slab over which its excitation rises, on either side."""


@dataclass(frozen=True)
class SlabPhantom:
    """Sheets of equal thickness, one upon the other, that fill a slab.

    Within a sheet the object does not change along z, so a volume's k-space is the sum of those of the
    sheets, each times the Fourier integral over its thickness: exact, and no operator that reconstructs has
    it. The edges of the slab are excited less. kz is in cycles per thickness of the slab; partition ``p`` of
    ``n`` lies ``(p - n // 2) / n`` slabs above the middle.
    """

    sheets: Sequence[Phantom]
    """From the bottom (towards the feet, against the slice direction) to the top."""
    thickness_mm: float
    """Of the slab."""

    @property
    def n_coils(self) -> int:
        return self.sheets[0].n_coils

    def kspace(self, trajectory: np.ndarray, times_s: np.ndarray, n_partitions: int) -> np.ndarray:
        """(coil, spoke, partition, readout) complex64 at kz = -n/2..n/2-1.

        It is scaled as that of a phantom: for a volume in the unitary scale, multiply it by the square root
        of the partitions, too.
        """
        planar = np.stack([sheet.kspace(trajectory, times_s) for sheet in self.sheets])
        waves = self._waves(np.arange(n_partitions) - n_partitions // 2.0)
        return np.einsum("scnr,sp->cnpr", planar, waves, optimize=True).astype(np.complex64)  # type: ignore[no-any-return]

    def partition(self, number: int, n_partitions: int) -> Phantom:
        """The coils of a partition."""
        height_mm = (number - n_partitions // 2) / n_partitions * self.thickness_mm
        return replace(self.sheets[0], coil_height=height_mm / FIELD_OF_VIEW_MM)

    def reference(
        self, times_s: np.ndarray, n_partitions: int, matrix: tuple[int, int], *, has_corners: bool
    ) -> np.ndarray:
        """(partition, frame, y, x) complex64: the truth at the resolution of the scan."""
        maps = np.stack(
            [self.partition(p, n_partitions).coil_maps(matrix) for p in range(n_partitions)]
        ).conj()
        blur = self._blur(n_partitions)
        volume = np.zeros((n_partitions, len(times_s), *matrix), np.complex64)
        for sheet, shares in zip(self.sheets, blur, strict=True):
            coils = sheet.coil_images(times_s, matrix, has_corners=has_corners)
            for number, share in enumerate(shares):
                volume[number] += share * np.einsum("cyx,fcyx->fyx", maps[number], coils)
        return volume

    def _waves(self, kz: np.ndarray) -> np.ndarray:
        """(sheet, kz) Fourier integral over the thickness of each sheet."""
        n = len(self.sheets)
        middle = (np.arange(n) + 0.5) / n - 0.5
        excited = np.clip((0.5 - np.abs(middle)) / _EDGE, 0, 1)
        waves = np.exp(-2j * np.pi * np.outer(middle, kz)) * np.sinc(kz / n) / n
        return excited[:, None] * waves  # type: ignore[no-any-return]

    def _blur(self, n_partitions: int) -> np.ndarray:
        """(sheet, partition) how much of each sheet the partitions show, with all of kz measured."""
        kz = np.arange(n_partitions) - n_partitions // 2.0
        places = (np.arange(n_partitions) - n_partitions // 2) / n_partitions
        return self._waves(kz) @ np.exp(2j * np.pi * np.outer(kz, places))  # type: ignore[no-any-return]
