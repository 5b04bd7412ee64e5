from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.operators.reach import DISC, reach_of, within_reach
from tests.numerics import complex_noise, scan_heart


@pytest.fixture(scope="module")
def kspace():
    return scan_heart(2, 8, 2, (32, 24)).kspace.to_torch("cpu")


def test_spokes_reach_the_edge_of_the_ellipse(kspace):
    assert reach_of(kspace) == pytest.approx(DISC, abs=0.05)


def test_samples_without_weight_do_not_count(kspace):
    radius = torch.linalg.vector_norm(kspace.trajectory / torch.tensor([12.0, 16.0]), dim=-1)
    inner = replace(kspace, density=kspace.density * (radius < 0.5))
    assert 0.4 < reach_of(inner) < 0.5


def spectrum(images: torch.Tensor) -> np.ndarray:
    return np.fft.fftshift(np.fft.fft2(images.numpy()), (-2, -1))


def test_nothing_is_left_beyond_and_nothing_is_lost_within():
    images = torch.from_numpy(complex_noise((3, 20, 16)))
    y, x = np.meshgrid(
        np.linspace(-1, 1, 20, endpoint=False), np.linspace(-1, 1, 16, endpoint=False), indexing="ij"
    )
    is_within = np.hypot(y, x) <= 0.72
    before, after = spectrum(images), spectrum(within_reach(images, 0.72))
    np.testing.assert_allclose(after[:, is_within], before[:, is_within], atol=1e-4)
    np.testing.assert_allclose(after[:, ~is_within], 0, atol=1e-4)


def test_samples_in_the_corners_leave_images_as_they_are():
    images = torch.from_numpy(complex_noise((2, 16, 16)))
    assert within_reach(images, 2**0.5) is images
