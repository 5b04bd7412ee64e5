from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import DataError, ShapeError
from python_recon.losses.measured import Combined, Density, Hdr, Logarithmic, MuLaw, Usual, measured_loss
from tests.numerics import complex_noise

NAMES = ("usual", "log", "combined", "mu_law", "hdr", "density")
SHAPE = (2, 3, 5, 7)


def samples(seed, shape=SHAPE):
    """With the dynamic range of k-space."""
    decay = np.exp(-6 * np.linspace(0, 1, shape[-1]))
    return torch.as_tensor(complex_noise(shape, seed) * decay.astype(np.float32))


@pytest.fixture
def target():
    return samples(1)


@pytest.fixture
def prediction():
    return samples(1) + 0.1 * samples(2)


def by_hand(values, weights):
    """Weighted 2-norm and 1-norm."""
    magnitude = np.abs(values.numpy().astype(complex))
    return np.sqrt((weights * magnitude**2).sum()), (weights * magnitude).sum()


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_costs_nothing(name, target):
    assert measured_loss(name, target)(target).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", ["usual", "log", "combined", "mu_law", "density"])
def test_nothing_at_all_costs_one(name, target):
    assert measured_loss(name, target)(torch.zeros_like(target)).item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", [1e-6, 1e5])
def test_the_unit_of_the_samples_does_not_matter(name, unit, target, prediction):
    expected = measured_loss(name, target)(prediction).item()
    assert measured_loss(name, unit * target)(unit * prediction).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_weight_is_not_seen(name, target, prediction):
    weights = torch.ones(SHAPE[-1])
    weights[4:] = 0
    loss = measured_loss(name, target, weights)
    other = prediction.clone()
    other[..., 4:] = 7e3
    assert loss(other) == loss(prediction)
    cut = measured_loss(name, target[..., :4])
    assert loss(prediction).item() == pytest.approx(cut(prediction[..., :4]).item(), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["at zero", "at the target", "elsewhere"])
def test_gradients_are_finite_everywhere(name, where, target, prediction):
    start = {"at zero": torch.zeros_like(target), "at the target": target.clone(), "elsewhere": prediction}
    variable = start[where].detach().requires_grad_()
    measured_loss(name, target)(variable).backward()
    assert torch.isfinite(torch.view_as_real(variable.grad)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_step_along_the_gradient_comes_nearer(name, target, prediction):
    loss, variable = measured_loss(name, target), prediction.clone().requires_grad_()
    before = loss(variable)
    before.backward()
    step = 1e-3 * variable.detach().norm() / variable.grad.norm()
    assert loss((variable - step * variable.grad).detach()) < before


def test_usual_is_the_published_formula(target, prediction):
    weights = np.linspace(0.5, 2, SHAPE[-1])
    two, one = by_hand(prediction - target, weights)
    two_of_target, one_of_target = by_hand(target, weights)
    loss = Usual(target, torch.as_tensor(weights, dtype=torch.float32))(prediction)
    assert loss.item() == pytest.approx((two / two_of_target + one / one_of_target) / 2, rel=1e-5)


def test_logarithmic_is_the_formula_that_is_documented(target, prediction):
    def scaled(values):
        return np.log(1 + np.abs(values.numpy()) / float(target.abs().median()))

    missing, whole = scaled(prediction - target), scaled(target)
    expected = (
        np.linalg.norm(missing) / np.linalg.norm(whole) + np.abs(missing).sum() / np.abs(whole).sum()
    ) / 2
    assert Logarithmic(target)(prediction).item() == pytest.approx(expected, rel=1e-5)
    both = (Usual(target)(prediction) + Logarithmic(target)(prediction)) / 2
    assert Combined(target)(prediction).item() == pytest.approx(both.item(), rel=1e-6)


def test_mu_law_keeps_phases(target):
    """A sample turned by 180 degrees is as far away as it can be."""
    assert MuLaw(target)(-target).item() == pytest.approx(2, rel=1e-5)


def test_hdr_is_the_published_formula_relative_to_the_samples(target, prediction):
    epsilon = 0.01 * float(target.abs().max())

    def weighed(values, magnitudes):
        return (np.abs(values.numpy()) ** 2 / (np.abs(magnitudes.numpy()) + epsilon) ** 2).sum()

    expected = weighed(prediction - target, prediction) / weighed(target, target)
    assert Hdr(target)(prediction).item() == pytest.approx(expected, rel=1e-4)


def test_density_is_quadratic(target, prediction):
    loss = Density(target, torch.linspace(0.1, 1, SHAPE[-1]))
    further = target + 3 * (prediction - target)
    assert loss(further).item() == pytest.approx(9 * loss(prediction).item(), rel=1e-4)


def share_of_the_centre(name, target):
    """Of the loss, where every sample is wrong by the same part of itself."""
    whole = measured_loss(name, target)
    centre, elsewhere = target.clone(), target.clone()
    centre[..., :1] *= 1.1
    elsewhere[..., 1:] *= 1.1
    inner, outer = whole(centre).item(), whole(elsewhere).item()
    return inner / (inner + outer)


@pytest.mark.parametrize("name", ["log", "combined", "mu_law", "hdr"])
def test_scaled_losses_see_the_outer_part_of_kspace(name, target):
    """Where the usual one sees its centre."""
    assert share_of_the_centre(name, target) < share_of_the_centre("usual", target) - 0.05


@pytest.mark.parametrize("name", NAMES)
def test_samples_that_tell_nothing_are_refused(name, target):
    with pytest.raises(DataError, match="none that differs from zero"):
        measured_loss(name, torch.zeros_like(target))
    with pytest.raises(DataError, match="none that differs from zero"):
        measured_loss(name, target, torch.zeros(SHAPE[-1]))
    with pytest.raises(DataError, match="not finite"):
        measured_loss(name, target * torch.inf)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_would_broadcast_are_refused(name, target):
    with pytest.raises(ShapeError, match="predicted"):
        measured_loss(name, target)(target[:1])
