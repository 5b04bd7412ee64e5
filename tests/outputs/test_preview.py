from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from python_recon.data import Geometry, ImageSeries
from python_recon.outputs.preview import write_previews


def test_every_series_and_slice_gets_its_files(pieces, tmp_path):
    paths = write_previews(pieces, tmp_path / "new" / "folder")
    stems = ("series_1_gridding_slice_0", "series_1_gridding_slice_1", "series_2_grasp_slice_1")
    endings = ("_mosaic.png", ".gif", "_profiles.png")
    assert [path.name for path in paths] == [stem + ending for stem in stems for ending in endings]
    assert all(path.stat().st_size > 0 for path in paths)


def test_a_single_frame_gets_no_animation_and_no_profiles(pieces, tmp_path):
    still = replace(pieces[0], images=pieces[0].images[:1])
    assert [path.name for path in write_previews([still], tmp_path)] == ["series_2_grasp_slice_1_mosaic.png"]


def corner_series(n_frames=6):
    """Frame 0 is bright in the top left corner, the others in the bottom right, at 70 %."""
    images = np.zeros((n_frames, 32, 40), dtype=np.complex64)
    images[0, :8, :10] = 1j
    images[1:, -8:, -10:] = 0.7
    return ImageSeries(images, "gridding", 1, Geometry(), times_s=0.25 * np.arange(n_frames))


def test_mosaic_shows_y_downwards_and_one_window(tmp_path):
    mosaic = np.asarray(Image.open(write_previews([corner_series()], tmp_path, is_plain=True)[0]))
    assert mosaic.dtype == np.uint8
    height, width = 32 * 8, 40 * 8
    first, second = mosaic[:height, :width], mosaic[:height, width + 2 : 2 * width + 2]
    assert first[:48, :60].min() > 200
    assert first[100:].max() == 0
    # White is the brightest of all frames, so 70 % of it stays grey.
    assert second[-40:, -50:].mean() == pytest.approx(0.7 * 255, abs=2)


def test_mosaic_has_at_most_24_frames(tmp_path):
    with Image.open(write_previews([corner_series(60)], tmp_path, is_plain=True)[0]) as mosaic:
        assert mosaic.size == (6 * (320 + 2) - 2, 4 * (256 + 2) - 2)


def test_animation_runs_at_the_speed_of_the_scan_for_ever(pieces, tmp_path):
    path = next(path for path in write_previews(pieces, tmp_path) if path.suffix == ".gif")
    with Image.open(path) as animation:
        assert animation.info["loop"] == 0
        assert min(animation.size) >= 256
        durations = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            durations.append(animation.info["duration"])
    assert min(durations) == 50  # frames are 0.05 s apart; equal neighbours may be stored as one
    assert sum(durations) == 500


def test_profiles_show_the_lines_over_time(tmp_path):
    profiles = np.asarray(Image.open(write_previews([corner_series()], tmp_path, is_plain=True)[2]))[..., 0]
    height, width, extent = 32 * 8, 40 * 8, 258
    beside, below = profiles[:height, width + 2 :], profiles[height + 2 :, :width]
    assert beside.shape == (height, extent)
    assert below.shape == (extent, width)
    frame = extent // 6
    # The liveliest point lies in the corner that lights up in frame 0: bright for one frame at the top
    # and at the left, dark afterwards.
    assert beside[:48, : frame - 1].min() > 200
    assert beside[:, frame + 1 :].max() == 0
    assert below[: frame - 1, :60].min() > 200
    assert below[frame + 1 :].max() == 0
