"""What is written onto pictures: what they show, how they lie, how large they are, and what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from python_recon.data import ImageSeries
from python_recon.outputs.notice import NOTICE
from python_recon.outputs.orientation import edge_letters, is_oriented
from python_recon.outputs.series import title

_FONT_PX, _LINE_PX, _MARGIN_PX = 13, 17, 6
_INK, _OUTLINE = "#e1e1e1", "#000000"
_SCALES_MM = (200, 100, 50, 20, 10, 5, 2, 1)
_LONGEST_SCALE = 0.4
"""Of the width of an image."""


@dataclass(frozen=True)
class Labels:
    """Labels of the pictures of one series, turned as it is shown."""

    series: ImageSeries
    size: tuple[int, int]
    """Height and width of one of its images on the picture."""

    def on(self, picture: Image.Image, frame: int | None = None) -> Image.Image:
        """The picture with letters at the edges of its upper left image, and a footer below.

        Parameters
        ----------
        frame
            The frame that is shown, to be told with its time; None: several.
        """
        lines = _wrapped([" · ".join(self._told(frame)), NOTICE], picture.width)
        footer = _LINE_PX * len(lines) + 2 * _MARGIN_PX
        canvas = Image.new(picture.mode, (picture.width, picture.height + footer))
        canvas.paste(picture, (0, 0))
        draw = ImageDraw.Draw(canvas)
        self._draw_letters(draw)
        self._draw_scale(draw)
        top = picture.height + _MARGIN_PX
        for number, line in enumerate(lines):
            _write(draw, (_MARGIN_PX, top + number * _LINE_PX), line, "la")
        return canvas

    def _told(self, frame: int | None) -> list[str]:
        told = [title(self.series)]
        if frame is not None:
            number = f"{frame + self.series.first_frame:{len(str(self.series.n_frames))}d}"
            told.append(f"frame {number}{self._time(frame)}")
        if not is_oriented(self.series):
            told.append("orientation unknown")
        return told

    def _time(self, frame: int) -> str:
        times = self.series.times_s
        if times is None or not np.isfinite(times).all() or not np.ptp(times):
            return ""
        width = len(f"{np.ptp(times):.2f}")
        return f", {times[frame] - times[0]:{width}.2f} s"

    def _draw_letters(self, draw: ImageDraw.ImageDraw) -> None:
        height, width = self.size
        letters = edge_letters(self.series)
        places = {
            "left": ((_MARGIN_PX, height // 2), "lm"),
            "right": ((width - _MARGIN_PX, height // 2), "rm"),
            "top": ((width // 2, _MARGIN_PX), "ma"),
            "bottom": ((width // 2, height - _MARGIN_PX), "md"),
        }
        for side, text in letters.items():
            at, anchor = places[side]
            _write(draw, at, text, anchor)

    def _draw_scale(self, draw: ImageDraw.ImageDraw) -> None:
        """A length, where the field of view is known."""
        height, width = self.size
        extent_mm = self.series.geometry.field_of_view_mm[0]
        fitting = [length for length in _SCALES_MM if length <= _LONGEST_SCALE * extent_mm]
        if not fitting:
            return
        left, bottom = _MARGIN_PX, height - _MARGIN_PX
        right = left + round(fitting[0] / extent_mm * width)
        draw.line([(left, bottom), (right, bottom)], fill=_INK, width=2)
        _write(draw, (left, bottom - 4), f"{fitting[0]} mm", "ld")


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, anchor: str) -> None:
    draw.text(at, text, fill=_INK, font=_font(), anchor=anchor, stroke_width=2, stroke_fill=_OUTLINE)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


def _wrapped(texts: Sequence[str], width_px: int) -> list[str]:
    """Lines of whole words that fit."""
    lines: list[str] = []
    for text in texts:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and _font().getlength(longer) > width_px - 2 * _MARGIN_PX:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines
