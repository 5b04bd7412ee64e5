from __future__ import annotations

import numpy as np
import pytest

from python_recon.evaluation.liveliest import liveliest_point, quietest


@pytest.fixture
def heart() -> np.ndarray:
    """(frame, y, x): a disc at (y 28, x 40) that beats within a still body with a bright rim of fat."""
    y, x = np.mgrid[:64, :64]
    distance = np.hypot(y - 32, x - 32)
    body = 100.0 * (distance < 26) + 300.0 * ((distance < 26) & (distance > 23))
    radius = 5 + 2 * np.sin(2 * np.pi * np.arange(12) / 12)
    return body + 200.0 * (np.hypot(y - 28, x - 40) < radius[:, None, None])


def test_the_heart_and_not_a_wall_that_flickers(heart):
    generator = np.random.default_rng(0)
    rim = heart.mean(axis=0) > 350
    flickering = heart + 250 * np.sin(np.arange(12) * 0.9)[:, None, None] * rim
    for images in (heart, flickering):
        y, x = liveliest_point(images + generator.normal(scale=20, size=heart.shape))
        assert np.hypot(y - 28, x - 40) < 9


def test_the_least_noisy_is_chosen(heart):
    generator = np.random.default_rng(1)
    noisy, clean = (heart + generator.normal(scale=scale, size=heart.shape) for scale in (60, 5))
    assert quietest([noisy, clean]) == 1
    assert quietest([clean, noisy]) == 0


def test_nothing_that_moves():
    assert liveliest_point(np.ones((3, 10, 12))) == (5, 6)
