"""Readouts of a Cartesian scan of an asymmetric object, by the explicit Fourier transform in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from python_recon.data import Counters, Readout, Scan
from tests.numerics import complex_noise, dft


@dataclass(frozen=True)
class Protocol:
    """What the header says, and what is measured."""

    matrix: tuple[int, int] = (24, 32)
    """Of the images (y, x)."""
    encoded: tuple[int, int] = (24, 64)
    """Samples of the encoded field of view (y, x)."""
    oversampling: tuple[float, float] = (1.0, 2.0)
    """Encoded field of view over that of the images."""
    n_coils: int = 3
    missing_samples: int = 0
    """From the beginning of every readout (asymmetric echo)."""

    @property
    def scan(self) -> Scan:
        fov = (320.0, 240.0, 5.0)
        return Scan(
            self.matrix,
            self.encoded,
            fov,
            (fov[0] * self.oversampling[1], fov[1] * self.oversampling[0], 5.0),
            trajectory_kind="cartesian",
            limits={"kspace_encode_step_1": self.encoded[0] - 1},
            centres={"kspace_encode_step_1": self.encoded[0] // 2},
        )

    @property
    def truth(self) -> np.ndarray:
        """(y, x) without any symmetry, 0 near the edges."""
        image = np.zeros(self.matrix, complex)
        image[4:13, 5:14] = 1.0
        image[9:20, 12:27] += 0.5j
        image[5:8, 20:23] = 2.0
        return image

    @property
    def maps(self) -> np.ndarray:
        """(coil, y, x), smooth, of unit sum of squares."""
        y, x = (np.linspace(-1, 1, n) for n in self.matrix)
        angles = 2 * np.pi * np.arange(self.n_coils) / self.n_coils
        bumps = [
            np.exp(
                -((y[:, None] - np.sin(a)) ** 2) / 2 - (x - np.cos(a)) ** 2 / 2 + 1j * (a + y[:, None] * x)
            )
            for a in angles
        ]
        maps = np.stack(bumps)
        return (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)

    def lines(self, steps=None, noise=0.0, **counters) -> list[Readout]:
        """The readouts of some values of kspace_encode_step_1, by default all of them."""
        steps = range(self.encoded[0]) if steps is None else steps
        centre = self.encoded[1] // 2
        kx = (np.arange(self.encoded[1]) - centre) / self.oversampling[1]
        made = []
        for number, step in enumerate(steps):
            ky = (step - self.encoded[0] // 2) / self.oversampling[0]
            places = np.stack([kx, np.full_like(kx, ky)], -1)[None, None]
            data = dft((self.maps * self.truth)[None], places)[0, :, 0]
            data = data + noise * complex_noise(data.shape, number)
            made.append(
                Readout(
                    data[:, self.missing_samples :].astype(np.complex64),
                    Counters(kspace_encode_step_1=step, **counters),
                    center_sample=centre - self.missing_samples,
                    scan_counter=number,
                    sample_time_us=5.0,
                )
            )
        return made


def changed(readouts, **fields):
    """The same readouts with other fields."""
    return [replace(readout, **fields) for readout in readouts]
