from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import Geometry
from python_recon.outputs.grey import Window, display_size, to_grey, window_of


def test_the_window_is_that_of_the_whole_series(beating_disc):
    fading = beating_disc * np.linspace(1, 0.1, 10)[:, None, None]
    grey = to_grey(fading, window_of(fading))
    # One window for all: a frame of a tenth of the signal is dark, not stretched to white.
    assert grey[0].max() == 255
    assert grey[-1].max() < 40


def test_the_window_leaves_out_a_few_bright_voxels_and_those_that_are_not_finite():
    rng = np.random.default_rng(0)
    images = rng.uniform(10, 20, (4, 30, 30)) + 0j
    images[0, 0, 0], images[1, 1, 1], images[2, 2, 2] = 1e6, np.nan, np.inf
    window = window_of(images)
    assert 10 <= window.low < 10.3
    assert 19.7 < window.high <= 20
    assert window.centre == pytest.approx((window.low + window.high) / 2)


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8)), np.full((2, 8, 8), 5.0), np.full((1, 4, 4), np.nan)])
def test_images_without_contrast_still_have_a_window(images):
    window = window_of(images)
    assert window.width > 0
    assert to_grey(images, window).dtype == np.uint8


def test_a_single_bright_voxel_is_seen():
    images = np.zeros((1, 64, 64))
    images[0, 5, 9] = 3.0
    grey = to_grey(images, window_of(images))
    assert grey[0, 5, 9] == 255
    assert grey.sum() == 255


def test_grey_values_follow_the_window():
    images = np.array([[[-1j, 2, 4, 6, 8]]])
    assert to_grey(images, Window(2, 6)).ravel().tolist() == [0, 0, 128, 255, 255]


def test_what_is_not_finite_is_black_or_white():
    images = np.array([[[np.nan, np.inf, complex(0, -np.inf), 4]]], dtype=np.complex64)
    assert to_grey(images, Window(2, 6)).ravel().tolist() == [0, 255, 255, 128]


def test_display_size_keeps_millimetres_square(pieces):
    # 40 x 48 pixels over 400 x 240 mm (y, x): 10 mm high and 5 mm wide.
    assert display_size(pieces[0], 256) == (40 * 2 * 6, 48 * 6)
    unknown = replace(pieces[0], geometry=Geometry())
    assert display_size(unknown, 256) == (40 * 7, 48 * 7)
    assert display_size(unknown, 20) == (40, 48)
