"""Films (MP4, H.264) of a series, for slides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from python_recon.data import ImageSeries
from python_recon.errors import BackendError
from python_recon.outputs.grey import display_size, to_grey, window_of
from python_recon.outputs.labels import Labels
from python_recon.outputs.orientation import as_on_screen
from python_recon.outputs.series import file_stems, frame_interval_s, join_series
from python_recon.resources.new_files import new_file

SHORT_SIDE_PX = 512
LEAST_SECONDS = 4
"""Shorter series are shown several times."""
_LEAST_FPS, _MOST_FPS = 1.0, 60.0


def require_encoder() -> ModuleType:
    """The library that encodes; raises BackendError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise BackendError(f"MP4 needs an encoder ({error}): pip install 'gadgetron-pisco[mp4]'") from error
    return av


def write_films(series: Sequence[ImageSeries], directory: Path, *, is_plain: bool = False) -> list[Path]:
    """Write an MP4 file of each series and slice that has several frames into ``directory``, which is made.

    The speed is that of the scan, from 1 to 60 frames a second; a film lasts 4 s at least.

    Parameters
    ----------
    series
        Whole series or pieces of them, in any order.
    is_plain
        Without labels.

    Raises
    ------
    BackendError
        Where the encoder is not installed.
    """
    encoder = require_encoder()
    directory.mkdir(parents=True, exist_ok=True)
    joined = [as_on_screen(each) for each in join_series(series)]
    stems = zip(joined, file_stems(joined), strict=True)
    films = [(each, directory / f"{stem}.mp4") for each, stem in stems if each.n_frames > 1]
    for each, path in films:
        _write(each, path, encoder, is_plain)
    return [path for _, path in films]


def _write(series: ImageSeries, path: Path, encoder: ModuleType, is_plain: bool) -> None:
    frames = _enlarged(series, is_plain)
    per_second = float(np.clip(1 / (frame_interval_s(series) or 0.1), _LEAST_FPS, _MOST_FPS))
    rate = Fraction(per_second).limit_denominator(1000)
    repeats = math.ceil(LEAST_SECONDS * rate / len(frames))
    with new_file(path) as part, encoder.open(str(part), "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18"}
        for frame in itertools.chain.from_iterable(itertools.repeat(frames, repeats)):
            film.mux(stream.encode(encoder.VideoFrame.from_ndarray(frame, format="gray")))
        film.mux(stream.encode())


def _enlarged(series: ImageSeries, is_plain: bool) -> np.ndarray:
    """(frame, y, x) grey values as large as they are shown, with even sides as H.264 wants them."""
    height, width = display_size(series, SHORT_SIDE_PX)
    grey = to_grey(series.images, window_of(series.images))
    pictures = [
        Image.fromarray(frame).resize((width + width % 2, height + height % 2), Image.Resampling.BICUBIC)
        for frame in grey
    ]
    if not is_plain:
        labels = Labels(series, (height, width))
        pictures = [labels.on(picture, frame) for frame, picture in enumerate(pictures)]
    frames = np.stack([np.asarray(picture) for picture in pictures])
    return np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, 0)))
