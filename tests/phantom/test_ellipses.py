import numpy as np
import pytest
from scipy.special import j1

from python_recon.phantom.ellipses import Ellipses, rasterise, transform

TILTED = (1.7, 0.11, -0.07, 0.21, 0.09, 0.4)
"""intensity, x, y, semi-axes, angle"""


def ellipses(*rows, shape=(1, 1)):
    return Ellipses(
        *(np.broadcast_to(np.array(c)[:, None, None], (len(rows), *shape)) for c in zip(*rows, strict=True))
    )


def still(*rows):
    return Ellipses(*map(np.array, zip(*rows, strict=True)))


def closed_form(row, kx, ky):
    intensity, x, y, p, q, angle = row
    u, v = kx * np.cos(angle) + ky * np.sin(angle), ky * np.cos(angle) - kx * np.sin(angle)
    kappa = np.hypot(p * u, q * v)
    return intensity * p * q * j1(2 * np.pi * kappa) / kappa * np.exp(-2j * np.pi * (kx * x + ky * y))


@pytest.fixture
def k():
    return np.random.default_rng(5).uniform(-150, 150, (2, 7, 40))


NO_SHIFT = np.zeros(1), np.zeros(1)


def test_transform_is_the_closed_form_at_all_frequencies(k):
    found = transform(ellipses(TILTED), *k, *NO_SHIFT)[0]
    peak = np.pi * TILTED[0] * TILTED[3] * TILTED[4]
    assert np.abs(found - closed_form(TILTED, *k)).max() < 3e-6 * peak


def test_transform_at_the_centre_is_the_area():
    found = transform(ellipses(TILTED), np.zeros((1, 1)), np.zeros((1, 1)), *NO_SHIFT)
    np.testing.assert_allclose(found, 1.7 * np.pi * 0.21 * 0.09, rtol=1e-6)


def test_shifts_move_the_point_of_evaluation(k):
    shift_x, shift_y = np.array([0.0, 0.7, -2.1]), np.array([1.4, 0.0, -0.3])
    found = transform(ellipses(TILTED), *k, shift_x, shift_y)
    expected = [closed_form(TILTED, k[0] - sx, k[1] - sy) for sx, sy in zip(shift_x, shift_y, strict=True)]
    assert np.abs(found - expected).max() < 3e-6 * np.abs(expected).max() + 1e-6


def test_ellipses_add_and_each_spoke_has_its_own(k):
    other = (-0.4, -0.2, 0.15, 0.05, 0.12, -1.0)
    growth = np.where(np.arange(7) % 2, 1.0, 0.9)[:, None]
    by_spoke = Ellipses(
        *(np.stack([first * growth, second * growth]) for first, second in zip(TILTED, other, strict=True))
    )
    found = transform(by_spoke, *k, *NO_SHIFT)[0]
    for spoke in range(7):
        scale = 1 if spoke % 2 else 0.9
        expected = sum(
            closed_form(np.array(row) * scale, k[0, spoke], k[1, spoke]) for row in (TILTED, other)
        )
        np.testing.assert_allclose(found[spoke], expected, atol=3e-6 * 0.1)


def test_raster_converges_to_the_transform():
    """The Fourier sum over ever finer grids: an oracle that shares no formula with the transform."""
    kx, ky = np.array([[3.3, -7.1, 0.4]]), np.array([[-2.2, 5.7, 9.6]])
    exact = transform(ellipses(TILTED), kx, ky, *NO_SHIFT)[0, 0]
    errors = []
    for n in (64, 256, 2048):
        axis = (np.arange(n) - n // 2) / n
        image = rasterise(still(TILTED), axis, axis).astype(float)
        sums = [
            np.exp(-2j * np.pi * v * axis) @ image @ np.exp(-2j * np.pi * u * axis)
            for u, v in zip(kx[0], ky[0], strict=True)
        ]
        errors.append(np.abs(np.array(sums) / n**2 - exact).max())
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 2e-5
