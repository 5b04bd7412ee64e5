"""Coil maps as small pictures: how strongly each coil receives, and with which phase."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from python_recon.data import ImageSeries
from python_recon.outputs.grey import display_size
from python_recon.outputs.orientation import as_on_screen
from python_recon.outputs.series import evenly_taken, title

LONG_SIDE_PX = 96
MOST_SLICES = 6
_SEEN = 0.05
"""Of the largest magnitude: below it, phase is noise and is left black."""


@dataclass(frozen=True)
class CoilPicture:
    """One coil; PNG files in base64."""

    magnitude: str
    phase: str


@dataclass(frozen=True)
class MapsOfSlice:
    """All coils of one slice."""

    title: str
    coils: list[CoilPicture]


def coil_pictures(maps: Sequence[ImageSeries]) -> list[MapsOfSlice]:
    """Pictures of the maps of at most 6 slices, evenly taken.

    Magnitudes share one scale within a slice, from zero; the colours of the phase go round once.

    Parameters
    ----------
    maps
        One series a slice, whose frames are the coils and whose method is the estimator.
    """
    if not maps:
        return []
    return [_of_slice(as_on_screen(maps[number])) for number in evenly_taken(len(maps), MOST_SLICES)]


def _of_slice(series: ImageSeries) -> MapsOfSlice:
    height, width = display_size(series, 1)
    zoom = min(1.0, LONG_SIDE_PX / max(height, width))
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    maps = np.stack([_resized(coil, size) for coil in series.images])
    peak = float(np.abs(maps).max()) or 1.0
    pictures = [CoilPicture(_magnitude(coil, peak), _phase(coil, peak)) for coil in maps]
    return MapsOfSlice(f"{title(series)}: {len(maps)} coils", pictures)


def _resized(coil: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    parts = (Image.fromarray(np.ascontiguousarray(part)) for part in (coil.real, coil.imag))
    real, imaginary = (np.asarray(part.resize(size, Image.Resampling.BOX)) for part in parts)
    return real + 1j * imaginary


def _magnitude(coil: np.ndarray, peak: float) -> str:
    return _png(Image.fromarray(np.round(255 * np.abs(coil) / peak).astype(np.uint8)))


def _phase(coil: np.ndarray, peak: float) -> str:
    """Colours of matplotlib's twilight, whose two ends are one."""
    from matplotlib import colormaps

    colours = np.round(255 * colormaps["twilight"](np.linspace(0, 1, 255))[:, :3]).astype(np.uint8)
    index = 1 + np.floor((np.angle(coil) / (2 * np.pi) + 0.5) * 254.99).astype(np.uint8)
    index[np.abs(coil) < _SEEN * peak] = 0
    picture = Image.fromarray(index)
    picture.putpalette([0, 0, 0, *colours.ravel().tolist()])
    return _png(picture)


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
