"""What is written onto pictures, seen as a reader sees it: as dark and bright places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from python_recon.data import Geometry, ImageSeries
from python_recon.outputs.labels import Labels

SIZE = (300, 400)
NOWHERE = Geometry(read_dir=(0.0, 0.0, 0.0), phase_dir=(0.0, 0.0, 0.0))


@pytest.fixture
def series() -> ImageSeries:
    geometry = Geometry(field_of_view_mm=(400.0, 300.0, 8.0))
    return ImageSeries(np.zeros((3, 30, 40), np.complex64), "grasp", 2, geometry, times_s=0.5 * np.arange(3))


def drawn(series, frame=0):
    return np.asarray(Labels(series, SIZE).on(Image.new("L", SIZE[::-1]), frame))


def test_a_footer_is_added_and_letters_stand_at_the_edges(series):
    picture = drawn(series)
    assert picture.shape[1] == SIZE[1]
    assert (picture[SIZE[0] :] > 128).any(), "the footer holds text"
    for place in (np.s_[130:170, :24], np.s_[130:170, -24:], np.s_[:24, 180:220], np.s_[270:300, 180:220]):
        assert (picture[place] > 128).any()


def test_a_length_scale_is_as_long_as_it_says(series):
    bar = drawn(series)[SIZE[0] - 6, :180]
    assert np.count_nonzero(bar > 128) == pytest.approx(100, abs=2)  # 100 of 400 mm, on 400 pixels


def test_what_is_unknown_is_not_drawn(series):
    picture = drawn(replace(series, geometry=NOWHERE))
    assert (picture[: SIZE[0]] == 0).all()
    known = drawn(replace(series, geometry=Geometry()))
    assert (picture[SIZE[0] :] > 128).sum() > (known[SIZE[0] :] > 128).sum(), "it says so in the footer"


def test_frame_and_time_are_told_and_all_frames_are_of_one_size(series):
    pictures = [drawn(series, frame) for frame in range(3)]
    assert len({picture.shape for picture in pictures}) == 1
    assert not np.array_equal(pictures[0], pictures[2])
