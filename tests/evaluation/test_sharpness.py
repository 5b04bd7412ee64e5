from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.special import expit

from python_recon.evaluation.sharpness import edge_widths

FRAMES = np.arange(40)
CENTRES = np.linspace(14, 26, 33)[:, None]


def ramps(length, centres=CENTRES):
    """(point, frame): from 1 to 3 within so many frames, at a place of its own in every point."""
    return 1 + 2 * np.clip((FRAMES - centres) / length + 0.5, 0, 1)


@pytest.mark.parametrize("length", [3, 6, 8])
def test_a_ramp_rises_from_10_to_90_per_cent_in_its_share(length):
    found = edge_widths(ramps(length), ramps(length))
    assert found.truth == pytest.approx(0.8 * length, abs=0.4)
    assert found.widening == 0


def test_a_smooth_edge():
    curves = expit((FRAMES - CENTRES) / 1.2)
    assert edge_widths(curves, curves).truth == pytest.approx(2 * np.log(9) * 1.2, rel=0.15)


@pytest.mark.parametrize("sign", [1, -1])
def test_edges_that_rise_and_fall_count_alike(sign):
    curves = 5 + sign * ramps(4)
    assert edge_widths(curves, curves).truth == pytest.approx(3.2, abs=0.3)


def test_smearing_over_time_widens_edges():
    """A ramp of 2 frames smeared over 5 rises as a trapezium does: 10 to 90 % in 4.3 frames."""
    found = edge_widths(uniform_filter1d(ramps(2), 5, axis=1), ramps(2))
    assert found.truth == pytest.approx(1.6, abs=0.3)
    assert 2 < found.widening < 3.2


def test_a_scale_is_no_width():
    assert edge_widths(0.3 * ramps(4), ramps(4)).widening == pytest.approx(0, abs=1e-6)


def test_noise_is_no_width():
    truth = ramps(4)
    noisy = truth + 0.2 * np.random.default_rng(0).normal(size=truth.shape)
    assert abs(edge_widths(noisy, truth).widening) < 0.6


def test_small_motion_beside_large_does_not_count():
    still = 1 + 0.2 * expit((FRAMES - CENTRES) / 4)
    truth = np.concatenate([ramps(3), still])
    assert edge_widths(truth, truth).truth == edge_widths(ramps(3), ramps(3)).truth


def test_a_beat_is_measured_at_one_of_its_edges():
    """Down and up again, as a wall that passes."""
    curves = 3 - 2 * np.clip((6 - np.abs(FRAMES - CENTRES)) / 4, 0, 1)
    assert edge_widths(curves, curves).truth == pytest.approx(3.2, abs=0.4)


@pytest.mark.parametrize("curves", [np.ones((5, 40)), ramps(3, np.full((4, 1), 1.0)), np.ones((3, 1))])
def test_nothing_that_moves_has_no_edges(curves):
    assert edge_widths(curves, curves) is None
