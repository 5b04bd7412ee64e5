"""The newest frame of a series as a small picture for the live page."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import ismrmrd
import numpy as np
from PIL import Image

from gadgets.translate.series import series_of_channels
from python_recon.data import ImageSeries
from python_recon.outputs.grey import Window, display_size, to_grey, window_of
from python_recon.outputs.orientation import as_on_screen, edge_letters, is_oriented

_LONG_SIDE_PX = 320
_EVERY_S = 0.5
"""Between two pictures of a series."""
_LONGEST_COMMENT = 600


class Frames:
    """Makes pictures of images as they are sent, as many as a person can see."""

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._held: dict[str, ismrmrd.Image] = {}
        """The newest of each series, where it came too soon."""

    def rest(self) -> Iterator[dict[str, Any]]:
        """Pictures of what came last, where it was not shown."""
        for key, image in self._held.items():
            yield _picture(key, image)
        self._held = {}

    def picture_of(self, image: ismrmrd.Image) -> dict[str, Any] | None:
        """What the page needs to show it; None for what is no image, and where it is too soon."""
        if len(image.data) != 1 or not np.isfinite(image.data).all():
            return None
        key = f"{image.image_series_index}/{image.slice}/{image.contrast}/{image.set}"
        if time.monotonic() - self._last_s.get(key, -_EVERY_S) < _EVERY_S:
            self._held[key] = image
            return None
        self._last_s[key] = time.monotonic()
        self._held.pop(key, None)
        return _picture(key, image)


def _picture(key: str, image: ismrmrd.Image) -> dict[str, Any]:
    series = as_on_screen(series_of_channels(image))
    return {
        "key": key,
        "title": f"{series.method}, slice {image.slice}",
        "series": image.image_series_index,
        "frame": image.repetition,
        "comment": str(image.meta.get("ImageComments", ""))[:_LONGEST_COMMENT],
        "letters": edge_letters(series),
        "is_oriented": is_oriented(series),
        "curve": _curve(image),
        "png": _png(series, _window(image, series)),
    }


def _window(image: ismrmrd.Image, series: ImageSeries) -> Window:
    """That of the whole series, which its images carry."""
    centre, width = (float(image.meta.get(name, 0)) for name in ("WindowCenter", "WindowWidth"))
    return Window(centre - width / 2, centre + width / 2) if width > 0 else window_of(series.images)


def _curve(image: ismrmrd.Image) -> list[float]:
    """Errors of the held-out spokes during the fit, else its losses; empty where it was none."""
    for name in ("recon_held_out", "recon_losses"):
        values = image.meta.get(name)
        if isinstance(values, list):
            numbers = [float(value) for value in values]
            return [value for value in numbers if np.isfinite(value)]
    return []


def _png(series: ImageSeries, window: Window) -> str:
    height, width = display_size(series, 1)
    zoom = _LONG_SIDE_PX / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    picture = Image.fromarray(to_grey(series.images[0], window)).resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
