from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from python_recon.errors import DataError
from python_recon.fields.time_axis import SplineBasis, TemporalHarmonics, TimeAxis, respiratory_coordinate

SPOKE_TIMES_S = 36_000.0 + 0.003 * np.arange(60).reshape(12, 5)
R_WAVES_S = np.array([0.1, 0.9, 1.9, 2.65])


def test_plain_time_runs_from_the_first_to_the_last_spoke():
    t = TimeAxis.from_times(SPOKE_TIMES_S).of(SPOKE_TIMES_S)
    assert t.shape == (12, 5)
    assert t.dtype == np.float32
    np.testing.assert_allclose(t.ravel(), np.arange(60) / 59, atol=1e-6)


@pytest.mark.parametrize("times_s", [36_000.5, [35_999.9, 36_000.1]])
def test_times_outside_the_scan_are_refused(times_s):
    with pytest.raises(DataError, match=r"scan covers 36000 s to 36000\.2 s"):
        TimeAxis.from_times(SPOKE_TIMES_S).of(times_s)


@pytest.mark.parametrize("times_s", [[2.0], [3.0, 3.0], [0.0, math.nan]])
def test_a_scan_of_one_moment_has_no_time_axis(times_s):
    with pytest.raises(DataError, match="positive duration"):
        TimeAxis.from_times(times_s)


def test_a_steady_heart_has_phases_that_wrap():
    axis = TimeAxis("periodic", 0.2, 0.8)
    np.testing.assert_allclose(
        axis.of([0.2, 0.4, 0.8, 1.2, 9.2, -0.2]), [0, 0.25, 0.75, 0.25, 0.25, 0.5], atol=1e-6
    )


@pytest.mark.parametrize("kind", ["plain", "periodic"])
def test_times_must_be_finite(kind):
    for time_s in (math.nan, math.inf):
        with pytest.raises(DataError, match="not finite"):
            TimeAxis(kind, 0.0, 1.0).of([0.5, time_s])


def test_phases_follow_beats_of_different_length():
    axis = TimeAxis("periodic", 0.1, 0.8, tuple(R_WAVES_S))
    times = [0.1, 0.5, 0.9 + 1e-9, 1.4, 1.65, 2.275, 2.65 + 0.2, 0.1 - 0.2]
    expected = [0, 0.5, 0, 0.5, 0.75, 0.5, 0.25, 0.75]
    np.testing.assert_allclose(axis.of(times), expected, atol=1e-6)


def test_phases_follow_the_r_waves():
    axis = TimeAxis.from_r_waves(R_WAVES_S)
    assert axis.kind == "periodic"
    assert axis.duration_s == pytest.approx(0.8)
    np.testing.assert_allclose(axis.of([0.1, 0.5, 1.4, 2.65, 3.05]), [0, 0.5, 0.5, 0, 0.5], atol=1e-6)


def test_beats_whose_triggers_were_missed_are_filled_in():
    r_waves = 0.85 * np.arange(12)
    axis = TimeAxis.from_r_waves(np.delete(r_waves, [4, 5, 9]))
    np.testing.assert_allclose(axis.r_waves_s, r_waves)


def test_less_than_two_r_waves_are_refused():
    with pytest.raises(DataError, match="1 R waves: expected two"):
        TimeAxis.from_r_waves([1.0])


def test_plain_functions_are_cosines_that_do_not_wrap():
    t = torch.linspace(0, 1, 21)
    features = TemporalHarmonics("plain", 3)(t)
    expected = np.cos(np.pi * np.arange(1, 7) * np.linspace(0, 1, 21)[:, None])
    np.testing.assert_allclose(features, expected, atol=3e-6)
    assert (features[0] - features[-1]).abs().max() > 1


@given(first=st.floats(0, 1, width=32), second=st.floats(0, 1, width=32))
def test_plain_functions_tell_any_two_moments_apart(first, second):
    """The distance grows with that of the moments, and first and last are the farthest of all."""
    one, other = TemporalHarmonics("plain", 1)(torch.tensor([first, second]))
    assert torch.dist(one, other) >= 2 * (first - second) ** 2 - 1e-5


def test_periodic_functions_are_the_published_ones_and_wrap():
    t = torch.tensor([0.0, 0.1, 0.6, 1.0])
    features = TemporalHarmonics("periodic", 2)(t)
    turn = 2 * np.pi * t.numpy()[:, None]
    expected = np.concatenate([np.cos(turn), np.cos(2 * turn), np.sin(turn), np.sin(2 * turn)], axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    torch.testing.assert_close(features[0], features[-1], atol=2e-6, rtol=0)


def test_a_constant_and_the_functions_span_smooth_curves():
    """Six cosines hold a contrast curve that ends elsewhere than it begins; six that wrap do not."""
    t = torch.linspace(0, 1, 200)
    curve = (1 - torch.exp(-4 * t)) + 0.3 * t
    errors = {}
    for kind in ("plain", "periodic"):
        matrix = torch.cat([torch.ones(200, 1), TemporalHarmonics(kind, 3)(t)], 1)
        solution = torch.linalg.lstsq(matrix, curve[:, None]).solution
        errors[kind] = float((matrix @ solution - curve[:, None]).square().mean().sqrt())
    assert errors["plain"] < 0.03 < 0.09 < errors["periodic"]


def test_a_navigator_loses_its_drift():
    times = 50 + 0.05 * np.arange(600).reshape(150, 4)
    breath = np.sin(2 * np.pi * 0.25 * times)
    coordinate = respiratory_coordinate(7 * breath + 3 * times - 100, times)
    assert coordinate.shape == (150, 4)
    assert (coordinate.min(), coordinate.max()) == (0, 0.5)
    np.testing.assert_allclose(coordinate, 0.25 + 0.25 * breath, atol=0.01)


@pytest.mark.parametrize("navigator", [np.full(9, 4.0), np.zeros(9), 1e3 + np.arange(9)])
def test_a_navigator_without_breath_is_refused(navigator):
    with pytest.raises(DataError, match="constant or a straight line"):
        respiratory_coordinate(navigator, np.arange(9.0))


def test_a_navigator_with_gaps_is_refused():
    with pytest.raises(DataError, match="not finite"):
        respiratory_coordinate(np.array([1.0, math.nan, 2.0]), np.arange(3.0))


def smooth_curves(t):
    """(time, 3)"""
    return np.stack([np.exp(-3 * t), np.sin(5 * t), t**2], -1)


def frame_centres(n_frames):
    return (np.arange(n_frames) + 0.5) / n_frames


def test_spline_is_exact_at_the_frames(device):
    times = frame_centres(9)
    basis = np.random.default_rng(0).normal(size=(9, 4))
    spline = SplineBasis(basis, times).to(device)
    at_frames = spline(torch.as_tensor(times, dtype=torch.float32, device=device))
    np.testing.assert_allclose(at_frames.cpu(), basis, atol=2e-5)


def test_spline_follows_smooth_curves_far_better_than_frames_do():
    times, spokes = frame_centres(24), np.linspace(0, 1, 24 * 5)
    spline = SplineBasis(smooth_curves(times), times)
    error = spline(torch.as_tensor(spokes.reshape(24, 5))).numpy() - smooth_curves(spokes).reshape(24, 5, 3)
    within = (spokes > times[4]) & (spokes < times[-5])
    nearest = smooth_curves(times)[np.abs(spokes[:, None] - times).argmin(1)] - smooth_curves(spokes)
    assert np.abs(error.reshape(-1, 3)[within]).max() < 1e-4
    assert np.abs(error).max() < 0.25 * np.abs(nearest).max()


def test_spline_bends_the_least():
    """Against the definition of a natural spline: on a fine grid, the least curvature through the frames."""
    n, frames = 201, np.array([10, 40, 100, 120, 180])
    basis = np.random.default_rng(1).normal(size=(5, 2))
    bending = np.diff(np.eye(n), n=2, axis=0)
    through = np.eye(n)[frames]
    system = np.block([[bending.T @ bending, through.T], [through, np.zeros((5, 5))]])
    expected = np.linalg.solve(system, np.vstack([np.zeros((n, 2)), basis]))[:n]
    fine = torch.linspace(0, 1, n)
    np.testing.assert_allclose(SplineBasis(basis, frames / 200)(fine), expected, atol=0.01)


def test_beyond_the_frames_the_spline_is_straight():
    times = frame_centres(6)
    spline = SplineBasis(smooth_curves(times), times)
    outside = spline(torch.tensor([0.0, 0.04, 0.08, 0.92, 0.96, 1.0]))
    torch.testing.assert_close(outside[1], (outside[0] + outside[2]) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(outside[4], (outside[3] + outside[5]) / 2, atol=1e-5, rtol=0)
    straight_line = SplineBasis(3 * times[:, None] - 1, times)
    torch.testing.assert_close(straight_line(torch.tensor([0.0, 0.5, 1.0]))[:, 0], torch.tensor([-1, 0.5, 2]))


def test_a_periodic_spline_wraps_smoothly():
    times = frame_centres(16)
    wave = np.cos(2 * np.pi * np.arange(1, 3) * (times[:, None] - 0.1))
    spline = SplineBasis(wave, times, is_periodic=True)
    t = torch.linspace(0, 1, 101)
    expected = np.cos(2 * np.pi * np.arange(1, 3) * (t.numpy()[:, None] - 0.1))
    np.testing.assert_allclose(spline(t), expected, atol=0.005)
    torch.testing.assert_close(spline(t), spline(t + 2), atol=1e-4, rtol=0)
    with pytest.raises(DataError, match="less than a period"):
        SplineBasis(wave, np.linspace(0, 1, 16), is_periodic=True)


@pytest.mark.parametrize("is_periodic", [False, True])
def test_few_frames_are_enough(is_periodic):
    for n_frames in (1, 2, 3):
        times = frame_centres(n_frames)
        basis = np.random.default_rng(2).normal(size=(n_frames, 2))
        values = SplineBasis(basis, times, is_periodic=is_periodic)(torch.as_tensor(times))
        np.testing.assert_allclose(values, basis, atol=1e-5)
    constant = SplineBasis(np.array([[2.0, -1.0]]), np.array([0.5]), is_periodic=is_periodic)
    assert constant(torch.tensor([0.0, 0.5, 0.7])).tolist() == [[2, -1]] * 3


@pytest.mark.parametrize("times", [[0.1, 0.3, 0.2], [0.1, 0.2], [0.1, 0.1, 0.2], [0.1, 0.2, math.nan]])
def test_frames_need_rising_times(times):
    with pytest.raises(DataError, match="one time for each frame"):
        SplineBasis(np.zeros((3, 2)), np.array(times))


def test_functions_of_time_compile_whole():
    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.harmonics = TemporalHarmonics("plain", 3)
            self.spline = SplineBasis(smooth_curves(frame_centres(5)), frame_centres(5))

        def forward(self, t):
            return torch.cat([self.harmonics(t), self.spline(t)], -1)

    both, t = Both(), torch.rand(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.compile(both, fullgraph=True, backend="aot_eager")(t), both(t))


def test_navigator_axis_is_linear_between_the_spokes():
    axis = TimeAxis.from_navigator([[3.0, 1.0], [2.0, 4.0]], [[0.5, 0.0], [1.0, 0.25]])
    np.testing.assert_allclose(axis.of([1.0, 1.5, 2.0, 2.5, 4.0]), [0, 0.5, 1, 0.75, 0.25], rtol=1e-6)
    with pytest.raises(DataError, match="the scan covers"):
        axis.of([4.5])
