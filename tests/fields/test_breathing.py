from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ConfigError
from python_recon.fields.breathing import BreathingBasis
from python_recon.fields.fitted import FittedField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from tests.fields.toys import MATRIX, random_start, smooth_maps

TIMES = np.linspace(0, 1, 400)
POSITIONS = 0.5 - 0.5 * np.cos(25 * TIMES)
BEAT = np.sin(200 * TIMES)
BASIS = np.stack([np.ones_like(TIMES), POSITIONS**2 + 0.3 * BEAT, 2 * BEAT - POSITIONS], 1)


def basis():
    return BreathingBasis(BASIS, TIMES, POSITIONS)


def at(module, times):
    return module(torch.as_tensor(times, dtype=torch.float32)).numpy()


def held_at(position):
    module = basis()
    module.held = position
    return module


def test_it_is_the_basis_at_the_frames():
    np.testing.assert_allclose(at(basis(), TIMES), BASIS, atol=1e-5)
    assert basis().n_functions == 3


def test_between_the_frames_it_is_the_spline_of_the_basis():
    between = (TIMES[1:-2] + TIMES[2:-1]) / 2
    expected = at(SplineBasis(BASIS, TIMES), between)
    np.testing.assert_allclose(at(basis(), between), expected, atol=0.02)


@pytest.mark.parametrize("position", [0.0, 0.35, 1.0])
def test_with_the_breath_held_the_heart_beats_on(position):
    expected = np.stack([np.ones_like(TIMES), position**2 + 0.3 * BEAT, 2 * BEAT - position], 1)
    np.testing.assert_allclose(at(held_at(position), TIMES), expected, atol=0.12)


def test_a_still_breath_explains_nothing_but_the_mean():
    module = BreathingBasis(BASIS, TIMES, np.full_like(TIMES, 0.5))
    np.testing.assert_allclose(at(module, TIMES), BASIS, atol=1e-5)


def fitted(temporal, axis=None):
    pixels = random_start(n_components=3).pixels
    start = LowRankStart(pixels, smooth_maps(3, MATRIX), temporal)
    axis = axis or TimeAxis("plain", 0.0, 1.0)
    return FittedField(None, start, (0.0,), 1.0, start.maps, axis)


def images_of(field, times):
    return torch.cat(list(field.render(times)))


def test_a_field_with_the_breath_held_leaves_the_field_itself_alone():
    field = fitted(basis())
    before = images_of(field, TIMES[:5])
    held = field.at_breath(0.2)
    torch.testing.assert_close(images_of(held, TIMES[:5]), images_of(fitted(held_at(0.2)), TIMES[:5]))
    assert torch.equal(images_of(field, TIMES[:5]), before)


def test_where_time_is_the_breath_it_is_held_as_well():
    axis = TimeAxis.from_navigator(TIMES, POSITIONS)
    field = fitted(SplineBasis(BASIS, TIMES), axis)
    images = images_of(field.at_breath(0.75), TIMES[::150])
    expected = images_of(fitted(SplineBasis(BASIS, TIMES)), np.array([0.75]))
    torch.testing.assert_close(images, expected.expand(3, -1, -1))


@pytest.mark.parametrize("position", [-0.1, 1.5, float("nan")])
def test_positions_out_of_range_are_refused(position):
    with pytest.raises(ConfigError, match=r"cannot be held at .*: expected 0 to 1"):
        fitted(basis()).at_breath(position)


def test_a_field_that_does_not_know_the_breath_is_told():
    with pytest.raises(ConfigError, match=r"does not know the breath.* 10 s or more"):
        fitted(SplineBasis(BASIS, TIMES)).at_breath(0.5)
