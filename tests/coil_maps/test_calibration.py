"""Pooling, cutting and weighting of the central k-space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.coil_maps.calibration import Calibration, Region, calibrate
from python_recon.data import KSpace
from python_recon.errors import DataError

REGION = Region(narrowest=16, widest=32)


def spokes_at(angles, n=64, matrix=(64, 64), stretch=(1.0, 1.0)):
    """One frame of ones; ``stretch`` scales kx and ky."""
    radius = (np.arange(2 * n) - n) / 2
    direction = np.stack([np.cos(angles) * stretch[0], np.sin(angles) * stretch[1]], -1)
    trajectory = (radius[:, None] * direction[:, None]).astype(np.float32)[None]
    return KSpace(np.ones((1, 1, *trajectory.shape[1:3]), np.complex64), trajectory, matrix)


@pytest.mark.parametrize(("n_angles", "width"), [(10, 16), (34, 20), (40, 24), (400, 32)])
def test_width_follows_the_number_of_angles(n_angles, width):
    assert calibrate(spokes_at(np.arange(n_angles) * np.pi / n_angles), REGION).width == width


def test_repeated_angles_count_once():
    angles = np.tile(np.arange(34) * np.pi / 34, 12)
    assert calibrate(spokes_at(angles), REGION).width == 20


@pytest.mark.parametrize(("asked", "width"), [(21, 20), (48, 48), (1000, 64)])
def test_width_that_is_asked_for_is_taken_as_far_as_the_data_reach(asked, width):
    assert calibrate(spokes_at(np.arange(200) * np.pi / 200), REGION, asked).width == width


def test_width_is_no_larger_than_the_matrix():
    assert calibrate(spokes_at(np.arange(200) * np.pi / 200, matrix=(24, 64)), REGION, 48).width == 24


@pytest.mark.parametrize(
    "angles",
    [
        np.arange(120) * np.pi / 120,
        np.arange(120) * 2.399963,
        np.repeat(np.arange(60) * np.pi / 60, [1, 3] * 30),
        np.concatenate([np.linspace(0, 1, 90), np.linspace(1.05, 3.1, 60)]),
    ],
    ids=["uniform", "golden", "repeated", "uneven"],
)
@pytest.mark.parametrize("stretch", [(1.0, 1.0), (1.0, 0.7)], ids=["circle", "ellipse"])
def test_density_integrates_smooth_functions_over_the_disc(angles, stretch):
    calibration = calibrate(spokes_at(angles, stretch=stretch), REGION, 32)
    kx, ky = calibration.trajectory.double().unbind(-1)
    gaussian = torch.exp(-(kx**2) / (2 * 3.0**2) - ky**2 / (2 * 2.0**2))
    integral = float((calibration.density * gaussian).sum())
    assert integral == pytest.approx(2 * np.pi * 3.0 * 2.0, rel=0.01)


def test_samples_are_cut_to_the_disc():
    kspace = spokes_at(np.arange(100) * np.pi / 100)
    calibration = calibrate(kspace, REGION, 16)
    assert calibration.samples.shape == (1, 100, 33)
    assert calibration.radius.max() <= 8
    assert float(calibration.density.sum()) == pytest.approx(np.pi * 8**2, rel=0.1)


def test_images_show_a_point_where_it_is():
    kspace = spokes_at(np.arange(100) * np.pi / 100)
    position = np.array([0.25, -0.125])  # x, y in fields of view
    data = np.exp(-2j * np.pi * kspace.trajectory @ position)[:, None].astype(np.complex64)
    calibration = calibrate(replace(kspace, data=data), REGION, 32)
    for field_of_view in (1.0, 1.25):
        image = calibration.images(40, field_of_view=field_of_view)[0].abs()
        row, column = np.unravel_index(int(image.argmax()), (40, 40))
        found = (np.array([column, row]) - 20) / 40 * field_of_view
        assert np.abs(found - position).max() <= 0.5 * field_of_view / 40


def test_borrowed_and_masked_spokes_are_left_out():
    kspace = spokes_at(np.arange(40) * np.pi / 40)
    mask, shared = np.ones((1, 40), bool), np.zeros((1, 40), bool)
    mask[0, :5], shared[0, 30:] = False, True
    calibration = calibrate(replace(kspace, spoke_mask=mask, is_shared=shared), REGION)
    np.testing.assert_array_equal(calibration.trajectory[:, -1], kspace.trajectory[0, 5:30, 80])


def test_most_spokes_are_spread_over_the_scan():
    kspace = spokes_at(np.arange(100) * np.pi / 100)
    region = Region(narrowest=16, widest=16, most_spokes=40)
    calibration = calibrate(kspace, region)
    assert calibration.samples.shape[1] == 34
    np.testing.assert_array_equal(calibration.trajectory[-1, -1], kspace.trajectory[0, 99, 80])


def test_all_spokes_masked_is_an_error():
    kspace = replace(spokes_at(np.zeros(3)), spoke_mask=np.zeros((1, 3), bool))
    with pytest.raises(DataError, match="all spokes of the slice are masked"):
        calibrate(kspace, REGION)


def test_trajectory_that_misses_the_centre_is_an_error():
    kspace = spokes_at(np.arange(40) * np.pi / 40)
    with pytest.raises(DataError, match="check the unit of the trajectory"):
        calibrate(replace(kspace, trajectory=kspace.trajectory + 500), REGION)


def test_window_falls_from_one_to_zero():
    trajectory = torch.tensor([[[-8.0, 0.0], [0.0, 0.0], [0.0, 8.0]]])
    calibration = Calibration(torch.ones(1, 1, 3), trajectory, torch.ones(1, 3), 16)
    np.testing.assert_allclose(calibration.window(), [[0, 1, 0]], atol=1e-6)
