"""The phantom of ellipses: a beating heart in a breathing torso."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from python_recon.phantom.anatomy import State, anatomy
from python_recon.phantom.blobs import add_blobs, transform_blobs
from python_recon.phantom.ellipses import Ellipses, rasterise, transform
from python_recon.phantom.phantom import FIELD_OF_VIEW_MM, Phantom, first_pass
from python_recon.phantom.texture import Texture, grow


@dataclass(frozen=True)
class HeartPhantom(Phantom):
    """A short-axis section of a beating heart in a breathing torso, seen by an array of coils.

    Everything is made of ellipses, Gaussian blobs and short Fourier series, so :meth:`kspace` is exact: it
    shares nothing with the operators that reconstruct. Intensities are relative to blood without contrast
    agent (1). ``contraction`` is that of the left ventricle's endocardium. The bolus peaks in the right heart
    at ``bolus_peak_s``, in the left at twice, in the muscle at four times that.
    """

    slice_offset_mm: float = 0.0
    """Distance from mid-ventricle along the long axis, -40..40 mm: the section of the heart tapers."""
    texture: float = 0.0
    """Standard deviation of each tissue's intensity, relative to it, in grains 4 mm wide."""

    def _modes(self, trajectory: np.ndarray, times: np.ndarray) -> np.ndarray:
        shifts = self._sensitivities.shifts
        ellipses = anatomy(self._state(times))
        modes = transform(ellipses, trajectory[..., 0], trajectory[..., 1], shifts[:, 0], shifts[:, 1])
        if self._texture is not None:
            modes += transform_blobs(self._texture.on(ellipses), trajectory, shifts)
        return modes

    def _drawn(self, time_s: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        ellipses = anatomy(self._state(np.asarray(time_s)))
        image = rasterise(ellipses, x, y)
        if self._texture is not None:
            add_blobs(image, self._texture.on(ellipses), x, y)
        return image

    @cached_property
    def _texture(self) -> Texture | None:
        if not self.texture:
            return None
        return grow(self._extremes(), self.texture, np.random.default_rng([self.seed, 8]))

    def _extremes(self) -> Ellipses:
        """The anatomy at both ends of contraction and of breath, the first at rest."""
        contraction, inspiration = np.meshgrid((0, self.contraction), (0, self._excursion), indexing="ij")
        one = np.ones(4)
        size = self._heart_size
        return anatomy(State(contraction.ravel(), inspiration.ravel(), one, one, one, size))

    def _state(self, times_s: np.ndarray) -> State:
        return State(
            contraction=self.contraction * self._shortening(times_s),
            inspiration=self._excursion * self.inspiration(times_s),
            right_blood=1 + self.contrast * first_pass(times_s / self.bolus_peak_s),
            left_blood=1 + 0.8 * self.contrast * first_pass(times_s / (2 * self.bolus_peak_s)),
            myocardium=1 + 0.5 * self.contrast * first_pass(times_s / (4 * self.bolus_peak_s)),
            heart_size=self._heart_size,
        )

    @property
    def _excursion(self) -> float:
        return self.breathing_amplitude_mm / FIELD_OF_VIEW_MM

    @property
    def _heart_size(self) -> float:
        return float(np.sqrt(1 - (self.slice_offset_mm / 60) ** 2))
