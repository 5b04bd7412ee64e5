from __future__ import annotations

import pytest
import torch

from python_recon.fields.resampling import resample_images, resample_maps
from tests.fields.toys import blob, smooth_maps
from tests.numerics import relative_error

MATRICES = [(32, 44), (33, 45), (44, 33), (27, 50), (60, 71)]


@pytest.mark.parametrize("old", MATRICES)
@pytest.mark.parametrize("new", MATRICES)
def test_band_limited_images_are_exact_on_any_matrix(old, new):
    """A Gaussian is one function of the place in the field of view, on all of them."""
    images = torch.stack([blob(old), 1j * blob(old, (-0.1, 0.07), 0.07)])
    expected = torch.stack([blob(new), 1j * blob(new, (-0.1, 0.07), 0.07)])
    assert relative_error(resample_images(images, new), expected) < 1e-4


@pytest.mark.parametrize("new", MATRICES)
def test_intensities_are_kept(new):
    ones = torch.full((2, 3, 24, 37), 0.7 - 0.2j)
    torch.testing.assert_close(resample_images(ones, new), torch.full((2, 3, *new), 0.7 - 0.2j))


def test_up_and_down_again_changes_nothing():
    images = torch.randn(3, 21, 33, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(resample_images(resample_images(images, (43, 70)), (21, 33)), images)


def test_the_same_matrix_is_no_work():
    images, maps = blob((20, 26))[None], smooth_maps(3, (20, 26))
    assert resample_images(images, (20, 26)) is images
    assert resample_maps(maps, (20, 26)) is maps


@pytest.mark.parametrize("new", MATRICES)
def test_maps_stay_where_they_are(new):
    maps = resample_maps(smooth_maps(5, (30, 41)), new)
    assert maps.dtype == torch.complex64
    inner = (slice(None), *(slice(n // 8, n - n // 8) for n in new))
    assert relative_error(maps[inner], smooth_maps(5, new)[inner]) < 2e-3
    assert torch.isfinite(torch.view_as_real(maps)).all()


def test_maps_keep_their_value_at_the_isocentre():
    maps, finer = smooth_maps(3, (16, 21)), resample_maps(smooth_maps(3, (16, 21)), (50, 33))
    torch.testing.assert_close(finer[:, 25, 16], maps[:, 8, 10])


def test_maps_of_one_row():
    assert resample_maps(torch.ones(2, 1, 6, dtype=torch.complex64), (4, 6)).shape == (2, 4, 6)
