"""What all phantoms share: coils, rhythm and breath, and the truth that follows from their k-space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from python_recon.errors import ShapeError
from python_recon.phantom.sensitivity import Sensitivities, fit_sensitivities

FIELD_OF_VIEW_MM = 300.0
"""Field of view that the anatomy fills with a margin."""
_CHUNK = 8192
"""Samples transformed at a time: the working arrays stay in the cache."""
_SUPERSAMPLING = 4
_SYSTOLE, _DIASTASIS = 0.35, 0.80
"""End of systole and of the filling, as shares of the cardiac cycle."""


@dataclass(frozen=True)
class Phantom(ABC):
    """An object that moves, seen by an array of coils.

    A phantom says what its k-space is (:meth:`_modes`) and how it is drawn (:meth:`_drawn`). Neither may use
    the operators that reconstruct.
    """

    n_coils: int = 8
    heart_rate_bpm: float = 72.0
    r_waves_s: tuple[float, ...] = ()
    """R waves, rising, from before the first to after the last moment that is asked for; empty: all beats are
    alike. A short beat contracts less, since less blood has come; after a long one the heart rests."""
    contraction: float = 0.3
    """Shortening of the inner radius at end systole, 0..0.4."""
    breathing_amplitude_mm: float = 6.0
    """Excursion of the diaphragm, 0..12 mm; what lies near it follows."""
    respiratory_rate_bpm: float = 15.0
    contrast: float = 0.3
    """Peak enhancement by a bolus, relative to the signal before; 0: no bolus."""
    bolus_peak_s: float = 3.0
    """When the bolus peaks where it arrives first."""
    seed: int = 0
    """Seed of the coils, the image phase and the phases of heart and breathing at time 0."""
    coil_height: float = 0.0
    """How far towards the head of the middle of the coils the section lies, in fields of view."""

    @abstractmethod
    def _modes(self, trajectory: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(mode, spoke, readout) Fourier integral at k - shift, for every shift of the coils' series.

        ``trajectory`` is (spoke, readout, 2) float64, ``times`` (spoke, 1) or (spoke, readout).
        """

    @abstractmethod
    def _drawn(self, time_s: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(y, x) values of the object at the points of the grid x (x,) and y (y,), in fields of view."""

    def kspace(self, trajectory: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        """Signal of every coil.

        Parameters
        ----------
        trajectory
            (spoke, readout, 2), (kx, ky) in cycles per field of view.
        times_s
            (spoke,) time of each spoke, or (spoke, readout) time of each sample.

        Returns
        -------
        (coil, spoke, readout) complex64: the Fourier integral over the object, lengths in fields of view.
        Times sqrt(Nx Ny) it is the signal of an image of matrix (Ny, Nx) in the unitary scale of
        ``python_recon.data``.

        Raises
        ------
        ShapeError
            When times and trajectory do not fit.
        """
        times = np.asarray(times_s, np.float64)
        if trajectory.ndim != 3 or trajectory.shape[2] != 2 or times.shape not in (
            trajectory.shape[:1], trajectory.shape[:2]
        ):  # fmt: skip
            raise ShapeError(
                f"trajectory has shape {trajectory.shape} and times {times.shape}; expected "
                "(spoke, readout, 2) and (spoke,) or (spoke, readout)"
            )
        times = times.reshape(len(times), -1)
        spokes, readout, _ = trajectory.shape
        data = np.empty((self.n_coils, spokes, readout), np.complex64)
        coefficients = self._sensitivities.coefficients.astype(np.complex64)
        step = max(1, _CHUNK // readout)
        for start in range(0, spokes, step):
            part = slice(start, start + step)
            modes = self._modes(trajectory[part].astype(np.float64), times[part])
            data[:, part] = np.tensordot(coefficients, modes, axes=1)
        return data

    def image(self, times_s: np.ndarray, matrix: tuple[int, int]) -> np.ndarray:
        """(frame, y, x) complex64 truth at the times (frame,) for a matrix (y, x).

        Object times image phase times root-sum-of-squares of the sensitivities, averaged over each pixel:
        what a reconstruction with coil maps of unit root-sum-of-squares should give.
        """
        x, y = (axis(n * _SUPERSAMPLING, _SUPERSAMPLING) for n in matrix[::-1])
        weight = self._sensitivities.root_sum_of_squares(x, y) * self._sensitivities.image_phase(x, y)
        frames = np.empty((len(times_s), *matrix), np.complex64)
        for frame, time_s in zip(frames, times_s, strict=True):
            fine = weight * self._drawn(float(time_s), x, y)
            blocks = fine.reshape(matrix[0], _SUPERSAMPLING, matrix[1], _SUPERSAMPLING)
            frame[:] = blocks.mean(axis=(1, 3))
        return frames

    def reference(
        self, times_s: np.ndarray, matrix: tuple[int, int], *, has_corners: bool = False
    ) -> np.ndarray:
        """(frame, y, x) complex64: the truth at the resolution of a scan.

        :meth:`coil_images`, combined with the coil maps. :meth:`image` differs from it by what no
        such scan can resolve: sharper edges, and no Gibbs ringing.
        """
        images = self.coil_images(times_s, matrix, has_corners=has_corners)
        return np.einsum("cyx,fcyx->fyx", self.coil_maps(matrix).conj(), images)  # type: ignore[no-any-return]

    def coil_images(self, times_s: np.ndarray, matrix: tuple[int, int], *, has_corners: bool) -> np.ndarray:
        """(frame, coil, y, x) complex64 from noise-free samples on every Cartesian point that a scan reaches.

        Spokes reach an ellipse in k-space, lines its corners, too.
        """
        ky, kx = np.meshgrid(*((np.arange(n) - n // 2.0) for n in matrix), indexing="ij")
        reached = (kx / matrix[1]) ** 2 + (ky / matrix[0]) ** 2 < (1.0 if has_corners else 0.25)
        points = np.stack([kx[reached], ky[reached]], -1)[None]
        frames = np.empty((len(times_s), self.n_coils, *matrix), np.complex64)
        for frame, time_s in zip(frames, times_s, strict=True):
            grid = np.zeros((self.n_coils, *matrix), np.complex64)
            grid[:, reached] = self.kspace(points, np.array([time_s]))[:, 0]
            frame[:] = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(grid, (1, 2)), norm="forward"), (1, 2))
        return frames

    def sensitivities(self, matrix: tuple[int, int]) -> np.ndarray:
        """(coil, y, x) complex64 sensitivities without the image phase, mean root-sum-of-squares about 1."""
        x, y = (axis(n) for n in matrix[::-1])
        maps = self._sensitivities.at(x, y) * self._sensitivities.image_phase(x, y).conj()
        return maps.astype(np.complex64)  # type: ignore[no-any-return]

    def coil_maps(self, matrix: tuple[int, int]) -> np.ndarray:
        """(coil, y, x) complex64 sensitivities normalised to unit root-sum-of-squares."""
        maps = self.sensitivities(matrix)
        return maps / np.linalg.norm(maps, axis=0)  # type: ignore[no-any-return]

    @property
    def has_rhythm(self) -> bool:
        """Whether it beats and breathes as the fields say."""
        return True

    def time_since_r_wave_s(self, times_s: np.ndarray) -> np.ndarray:
        """Time since the last R wave, of the same shape as the times."""
        return self._beat(np.asarray(times_s))[0]

    def inspiration(self, times_s: np.ndarray) -> np.ndarray:
        """How deep the breath is, 0..1, of the same shape as the times."""
        breath = self._start_phases[1] + times_s * self.respiratory_rate_bpm / 60
        # Longer at the end of expiration than of inspiration (Lujan et al., doi 10.1118/1.598577).
        return np.cos(np.pi * breath) ** 4  # type: ignore[no-any-return]

    def r_waves_until(self, end_s: float) -> np.ndarray:
        """(r_wave,) from the last one before time 0 to the first after ``end_s``; or those that are set."""
        if self.r_waves_s:
            return np.array(self.r_waves_s)
        beat_s = 60 / self.heart_rate_bpm
        n_beats = np.ceil(end_s / beat_s + self._start_phases[0])
        return (np.arange(n_beats + 1) - self._start_phases[0]) * beat_s  # type: ignore[no-any-return]

    @cached_property
    def _sensitivities(self) -> Sensitivities:
        return fit_sensitivities(self.n_coils, np.random.default_rng([self.seed, 1]), self.coil_height)

    @cached_property
    def _start_phases(self) -> np.ndarray:
        return np.random.default_rng([self.seed, 2]).uniform(size=2)

    def _shortening(self, times_s: np.ndarray) -> np.ndarray:
        """0..1, as far as the heart contracts."""
        since_r_wave, length = self._beat(times_s)
        usual = 60 / self.heart_rate_bpm
        shortened = np.minimum(length / usual, 1.0)
        phase = np.minimum(since_r_wave / (usual * shortened), 1.0)
        return shortened**2 * _contraction(phase)  # type: ignore[no-any-return]

    def _beat(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Time since the last R wave, and the length of the beat."""
        usual = 60 / self.heart_rate_bpm
        if not self.r_waves_s:
            phase = (self._start_phases[0] + times_s / usual) % 1.0
            return phase * usual, np.full(np.shape(times_s), usual)
        r_waves = np.array(self.r_waves_s)
        beat = np.clip(np.searchsorted(r_waves, times_s, "right") - 1, 0, len(r_waves) - 2)
        return times_s - r_waves[beat], np.diff(r_waves)[beat]


def _contraction(phase: np.ndarray) -> np.ndarray:
    """0 at end diastole to 1 at end systole: quick contraction, slower filling, rest."""
    systole = 0.5 - 0.5 * np.cos(np.pi * phase / _SYSTOLE)
    filling = 0.5 + 0.5 * np.cos(np.pi * (phase - _SYSTOLE) / (_DIASTASIS - _SYSTOLE))
    return np.where(phase < _SYSTOLE, systole, np.where(phase < _DIASTASIS, filling, 0.0))


def first_pass(time: np.ndarray) -> np.ndarray:
    """Gamma-variate first pass, peak 1 at time 1."""
    return (np.maximum(time, 0) * np.exp(1 - time)) ** 2  # type: ignore[no-any-return]


def axis(n: int, per_pixel: int = 1) -> np.ndarray:
    """Positions of n samples about the isocentre; several per pixel fill each pixel around its centre."""
    return (np.arange(n) - n // per_pixel // 2 * per_pixel - (per_pixel - 1) / 2) / n
