"""A phantom of pixels: a still image that the simulator moves, or a series that is sampled in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import finufft
import numpy as np

from python_recon.errors import DataError, ShapeError
from python_recon.phantom.blobs import moments
from python_recon.phantom.deformation import Deformation
from python_recon.phantom.phantom import FIELD_OF_VIEW_MM, Phantom, axis, first_pass

EXTENT = 0.85
"""Share of the field of view that the longer side of an image takes: what the coils see well."""
_ACCURACY = 1e-9
_BRIGHT_PERCENTILE = 99.0


@dataclass(frozen=True, eq=False, kw_only=True)
class ObjectPhantom(Phantom):
    """Anything that there are images of, seen by the coils of the other phantom.

    One image is a still object: it is moved (:mod:`~python_recon.phantom.deformation`: a beat, a breath) and
    a part of it enhances. Several are a series: it is interpolated in time and begins anew after its last.

    At any moment the object is what splines through the pixels give on a square grid of ``grid_size``, and
    k-space is the Fourier sum over the grid in double precision (FINUFFT, to 1e-9), at k shifted by each term
    of the coils' Fourier series. The grid must be twice as fine as the scan's matrix: nothing that
    reconstructs has it. The brightest hundredth of the object begins at 1.
    """

    images: np.ndarray = field(repr=False)
    """(frame, y, x), real or complex; x to the patient's left, y to the back."""
    grid_size: int = 256
    """Even: points along each side of the field of view."""
    interval_s: float = 0.05
    """Time from one image of a series to the next."""

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 3 or min(shape, default=0) < 1 or min(shape[1:]) < 2:
            raise ShapeError(f"the object has shape {shape}; expected (frame, y, x) of 2 x 2 pixels or more")
        if not np.isfinite(self.images).all():
            bad = int((~np.isfinite(self.images)).sum())
            raise DataError(f"{bad} values of the object are not finite: replace them, for example by zeros")
        if not self.images.any():
            raise DataError("the object is zero everywhere: there is nothing to scan")

    @property
    def has_rhythm(self) -> bool:
        """Whether it beats and breathes as the fields say; a series brings its own motion."""
        return len(self.images) == 1

    def r_waves_until(self, end_s: float) -> np.ndarray:
        """(r_wave,) as of any phantom; none of a series, whose heartbeats are not known."""
        return super().r_waves_until(end_s) if self.has_rhythm else np.empty(0)

    def _modes(self, trajectory: np.ndarray, times: np.ndarray) -> np.ndarray:
        k = trajectory - self._sensitivities.shifts[:, None, None]
        if np.abs(k).max() > self.grid_size / 2:
            raise ShapeError(
                f"the trajectory reaches {np.abs(k).max():.0f} cycles per field of view, a grid of "
                f"{self.grid_size} only {self.grid_size // 2}: give twice the scan's matrix or more"
            )
        grid, total = axis(self.grid_size), np.empty(k.shape[:3], np.complex64)
        drawn_at, drawn = np.nan, np.empty(0)
        for where, time in moments(times.shape):
            if times[time[1:]] != drawn_at:
                drawn_at = float(times[time[1:]])
                drawn = self._drawn(drawn_at, grid, grid).astype(np.complex128)
            x, y = 2 * np.pi / self.grid_size * np.ascontiguousarray(k[where].reshape(-1, 2).T)
            values = finufft.nufft2d2(y, x, drawn, eps=_ACCURACY, isign=-1)
            total[where] = values.reshape(total[where].shape) / self.grid_size**2
        return total

    def _drawn(self, time_s: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        grid_x, grid_y = np.meshgrid(x, y)
        if not self.has_rhythm:
            return self._sampled(self._between(time_s), grid_x, grid_y)
        moment = np.asarray(time_s)
        motion = Deformation(
            contraction=self.contraction * float(self._shortening(moment)),
            inspiration=self.breathing_amplitude_mm / FIELD_OF_VIEW_MM * float(self.inspiration(moment)),
        )
        x, y = motion.source(grid_x, grid_y)
        gain = 1 + self.contrast * float(first_pass(moment / self.bolus_peak_s)) * motion.uptake(x, y)
        return gain * self._sampled(self._splines[0], x, y)

    def _between(self, time_s: float) -> np.ndarray:
        """Spline coefficients of the series at a moment."""
        number, share = divmod(time_s / self.interval_s, 1.0)
        before = self._splines[int(number) % len(self.images)]
        after = self._splines[(int(number) + 1) % len(self.images)]
        return (1 - share) * before + share * after

    def _sampled(self, splines: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values at places in fields of view; zero beyond the image."""
        from scipy.ndimage import map_coordinates

        height, width = splines.shape
        pixels = max(height, width) / EXTENT
        places = [y * pixels + (height - 1) / 2, x * pixels + (width - 1) / 2]
        return map_coordinates(splines, places, order=3, prefilter=False, mode="constant")

    @cached_property
    def _splines(self) -> np.ndarray:
        """(frame, y, x) coefficients, in units of the object's brightness."""
        from scipy.ndimage import spline_filter

        magnitude = np.abs(self.images)
        bright = np.percentile(magnitude[magnitude > 0], _BRIGHT_PERCENTILE)
        kind = np.complex128 if np.iscomplexobj(self.images) else np.float64
        return np.stack([spline_filter(image.astype(kind) / bright, output=kind) for image in self.images])
