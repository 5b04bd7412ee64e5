"""Pictures of a series for a quick look: mosaic, animation and time profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from python_recon.data import ImageSeries
from python_recon.evaluation.liveliest import liveliest_point
from python_recon.outputs.grey import display_size, to_grey, window_of
from python_recon.outputs.labels import Labels
from python_recon.outputs.orientation import as_on_screen
from python_recon.outputs.series import evenly_taken, file_stems, frame_interval_s, join_series
from python_recon.resources.new_files import new_file

MOSAIC_FRAMES = 24
SHORT_SIDE_PX = 256
GAP_PX = 2
TICK_PX = 6
MARK = (255, 176, 0)
"""Colour of what is no image: the lines of the profiles."""


def write_previews(series: Sequence[ImageSeries], directory: Path, *, is_plain: bool = False) -> list[Path]:
    """Write PNG and GIF files of each series and slice into ``directory``, which is made.

    All files of a series share one grey window. A series of one frame gets its mosaic only.

    Parameters
    ----------
    series
        Whole series or pieces of them, in any order.
    is_plain
        Without labels: method, frame and time, patient directions, length scale and notice.

    Returns
    -------
    The files, by series: ``*_mosaic.png`` with at most 24 frames, evenly taken; ``*.gif``, at the speed of
    the scan as far as GIF allows (20 ms to 1 s a frame); ``*_profiles.png`` with one frame and, beside and
    below it, the two lines that cross where the series moves most, over time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    joined = [as_on_screen(each) for each in join_series(series)]
    return [
        path
        for each, stem in zip(joined, file_stems(joined), strict=True)
        for path in _write_series(each, directory / stem, is_plain)
    ]


def _write_series(series: ImageSeries, stem: Path, is_plain: bool) -> list[Path]:
    frames = to_grey(series.images, window_of(series.images))
    size = display_size(series, SHORT_SIDE_PX)
    label = _unlabelled if is_plain else Labels(series, size).on
    mosaic = stem.with_name(f"{stem.name}_mosaic.png")
    still = 0 if series.n_frames == 1 else None
    _save(label(_mosaic(frames[evenly_taken(series.n_frames, MOSAIC_FRAMES)], size), still), mosaic)
    if series.n_frames == 1:
        return [mosaic]
    animation, profiles = stem.with_name(f"{stem.name}.gif"), stem.with_name(f"{stem.name}_profiles.png")
    first, *others = [label(_enlarge(frame, size), number) for number, frame in enumerate(frames)]
    with new_file(animation) as part:
        first.save(part, "GIF", save_all=True, append_images=others, duration=_duration_ms(series), loop=0)
    picture = _profiles(frames, liveliest_point(series.images), size)
    _save(label(picture, len(frames) // 2), profiles)
    return [mosaic, animation, profiles]


def _unlabelled(picture: Image.Image, _frame: int | None) -> Image.Image:
    return picture


def _save(picture: Image.Image, path: Path) -> None:
    with new_file(path) as part:
        picture.save(part, "PNG")


def _duration_ms(series: ImageSeries) -> int:
    # GIF counts in 10 ms, and browsers slow down what is faster than 20 ms.
    interval_s = frame_interval_s(series) or 0.1
    return int(np.clip(round(interval_s * 100), 2, 100)) * 10


def _enlarge(frame: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def _mosaic(frames: np.ndarray, size: tuple[int, int]) -> Image.Image:
    height, width = size
    columns = int(np.ceil(np.sqrt(len(frames) * height / width * 1.5)))
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    canvas = Image.new("L", (columns * (width + GAP_PX) - GAP_PX, rows * (height + GAP_PX) - GAP_PX))
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        canvas.paste(_enlarge(frame, size), (column * (width + GAP_PX), row * (height + GAP_PX)))
    return canvas


def _profiles(frames: np.ndarray, point: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """The middle frame; to its right y over time (rightwards), below it x over time (downwards)."""
    (y, x), (height, width) = point, size
    extent = len(frames) * -(-SHORT_SIDE_PX // len(frames))
    canvas = Image.new("RGB", (width + GAP_PX + extent, height + GAP_PX + extent))
    canvas.paste(_enlarge(frames[len(frames) // 2], size), (0, 0))
    canvas.paste(_over_time(frames[:, :, x].T, (height, extent), time_axis=1), (width + GAP_PX, 0))
    canvas.paste(_over_time(frames[:, y, :], (extent, width), time_axis=0), (0, height + GAP_PX))
    at_y = round((y + 0.5) * height / frames.shape[1])
    at_x = round((x + 0.5) * width / frames.shape[2])
    _mark(canvas, at_y, at_x, size)
    return canvas


def _over_time(profile: np.ndarray, size: tuple[int, int], time_axis: int) -> Image.Image:
    # Frames stay blocks, so that the temporal resolution is seen as it is; space is interpolated.
    frames_apart = np.repeat(profile, size[time_axis] // profile.shape[time_axis], axis=time_axis)
    return _enlarge(frames_apart, size)


def _mark(canvas: Image.Image, at_y: int, at_x: int, size: tuple[int, int]) -> None:
    # Ticks at the frame's edges show the lines without covering the anatomy.
    height, width = size
    draw = ImageDraw.Draw(canvas)
    for start in (0, width - TICK_PX):
        draw.line([(start, at_y), (start + TICK_PX, at_y)], fill=MARK, width=2)
    for start in (0, height - TICK_PX):
        draw.line([(at_x, start), (at_x, start + TICK_PX)], fill=MARK, width=2)
