"""Frames that are averaged with their neighbours, moved onto them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.motion.averaging import Averaging, average_neighbours, nearest_frames
from tests.numerics import complex_noise, relative_error

NOISE = 0.02
HOW = Averaging(neighbours=8, radius=4, warps=3, sigma=2 * NOISE)


def wandering_ring(n_frames=12, matrix=(48, 44), step=0.7):
    """(frame, y, x) a ring with a phase that moves on by so many pixels a frame, and grows."""
    y, x = np.meshgrid(*(np.arange(n) - n / 2 for n in matrix), indexing="ij")
    frames = []
    for frame in range(n_frames):
        radius = np.hypot(y - step * (frame - n_frames / 2), x) - 8 - 0.2 * frame
        frames.append(np.exp(-((radius / 3) ** 2)) * np.exp(0.5j))
    return np.stack(frames).astype(np.complex64)


def noisy(series, seed=3):
    return series + NOISE * complex_noise(series.shape, seed)


def averaged(series, device="cpu", how=HOW):
    result = average_neighbours(torch.as_tensor(series, device=device), how)
    assert result is not None
    return result


def test_noise_is_averaged_and_motion_is_not(device):
    """The mean of 9 frames has a third of the noise; the mean of frames that were not moved is far off."""
    truth = wandering_ring()
    result = averaged(noisy(truth), device)
    assert result.is_followed.all()
    error = relative_error(result.images, truth)
    assert error < 0.55 * relative_error(noisy(truth), truth)
    assert error < 0.2 * relative_error(np.broadcast_to(truth.mean(0), truth.shape), truth)


def test_a_still_object_is_the_mean_of_its_frames():
    truth = np.repeat(wandering_ring(1), 9, 0)
    result = averaged(noisy(truth))
    assert relative_error(result.images, truth) < 0.45 * relative_error(noisy(truth), truth)


def test_frames_that_resemble_nothing_stay_as_they_are():
    """A jump that the flow cannot follow, amid frames that move little."""
    series = noisy(wandering_ring(8, step=0.2))
    series[5] = np.roll(series[5], (17, -15), (0, 1)) * 1.5
    result = averaged(series)
    assert result.is_followed.tolist() == [frame != 5 for frame in range(8)]
    np.testing.assert_array_equal(result.images[5], series[5])


def test_scale_and_phase_do_not_matter():
    series = noisy(wandering_ring(6))
    expected = averaged(series).images
    factor = 1e6j
    how = Averaging(HOW.neighbours, HOW.radius, HOW.warps, 1e6 * HOW.sigma)
    result = averaged((factor * series).astype(np.complex64), how=how).images / factor
    assert relative_error(result, expected) < 1e-3


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_frames_stay_constant(value):
    series = np.full((5, 20, 24), value, np.complex64)
    np.testing.assert_allclose(averaged(series).images, series, atol=1e-5)


def test_two_frames_are_each_other_s_neighbours():
    series = noisy(np.repeat(wandering_ring(1), 2, 0))
    np.testing.assert_array_equal(nearest_frames(torch.as_tensor(series), 12), [[1], [0]])
    result = averaged(series)
    truth = wandering_ring(1)
    assert relative_error(result.images.mean(0), truth[0]) < relative_error(series[0], truth[0])


def test_nearest_frames_are_those_of_the_same_state():
    states = [0, 3, 0, 3, 0, 3]
    series = torch.as_tensor(np.stack([wandering_ring()[state] for state in states]))
    assert {tuple(sorted(row)) for row in nearest_frames(series, 2).tolist()} == {
        (0, 2),
        (0, 4),
        (2, 4),
        (1, 3),
        (1, 5),
        (3, 5),
    }


def test_a_matrix_smaller_than_the_windows_does():
    series = noisy(wandering_ring(4, matrix=(4, 3)))
    assert torch.isfinite(torch.view_as_real(averaged(series).images)).all()


def test_it_ends_where_it_is_told():
    told = []

    def is_over(done):
        told.append(done)
        return True

    assert average_neighbours(torch.as_tensor(wandering_ring()), HOW, is_over) is None
    assert len(told) == 1
    assert 0 < told[0] < 1
