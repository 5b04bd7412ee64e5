from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from python_recon.errors import BackendError
from python_recon.outputs.film import write_films

av = pytest.importorskip("av", reason="the extra mp4 is not installed")


def frames_of(path):
    with av.open(str(path)) as film:
        (stream,) = film.streams.video
        rate = float(stream.average_rate)
        return rate, np.stack([frame.to_ndarray(format="gray") for frame in film.decode(stream)])


def test_films_have_the_speed_of_the_scan_and_its_grey_values(pieces, tmp_path):
    paths = write_films(pieces, tmp_path / "new" / "folder", is_plain=True)
    assert [path.name for path in paths] == [
        "series_1_gridding_slice_0.mp4",
        "series_1_gridding_slice_1.mp4",
        "series_2_grasp_slice_1.mp4",
    ]
    rate, frames = frames_of(paths[0])
    assert rate == pytest.approx(20, rel=1e-3)  # frames are 0.05 s apart
    assert len(frames) == 80, "ten frames, shown until 4 s are full"
    # 40 x 48 pixels of 10 x 5 mm: the disc, at y 14 and x 30, is the only white.
    height, width = frames.shape[1:]
    assert height % 2 == width % 2 == 0
    assert height / width == pytest.approx(400 / 240, rel=0.01)
    y, x = (np.argwhere(frames[0] > 200).mean(axis=0) + 0.5) / (height, width) * (40, 48)
    assert (y, x) == pytest.approx((14.5, 30.5), abs=0.3)


def test_sides_become_even_and_unknown_times_ten_frames_a_second(pieces, tmp_path):
    narrow = replace(pieces[0], images=pieces[0].images[:3, :, :47], times_s=None)
    (path,) = write_films([narrow], tmp_path)
    rate, frames = frames_of(path)
    assert rate == pytest.approx(10)
    assert len(frames) == 42
    assert all(side % 2 == 0 for side in frames.shape[1:])


def test_a_single_frame_gives_no_film(pieces, tmp_path):
    assert write_films([replace(pieces[0], images=pieces[0].images[:1])], tmp_path) == []


def test_a_missing_encoder_names_the_cure(pieces, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendError, match=r"pip install 'gadgetron-pisco\[mp4\]'"):
        write_films(pieces, tmp_path / "films")
    assert not (tmp_path / "films").exists()
