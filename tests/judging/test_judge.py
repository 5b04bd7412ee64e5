from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.judging import judge as judge_module
from python_recon.judging.judge import Judge
from tests.fields.toys import LinearField, random_samples
from tests.numerics import complex_noise


@pytest.fixture
def samples():
    return random_samples(LinearField(2, seed=1), noise=0.1)


@pytest.fixture
def offset():
    return 0.5 * torch.as_tensor(complex_noise((300, 2), 30))


def closed_form(samples, offset, predicted):
    """Error and share by weighted least squares, in float64."""
    weight = np.linalg.norm(samples.k.numpy().astype(float), axis=1)[:, None]
    root = np.sqrt(np.broadcast_to(weight, predicted.shape)).ravel()
    parts = [array.numpy().astype(complex).ravel() * root for array in (samples.values, offset, predicted)]
    measured, start, field = (np.concatenate([part.real, part.imag]) for part in parts)
    (share,) = np.linalg.lstsq(field[:, None], measured - start, rcond=None)[0]
    share = np.clip(share, 0, 1)
    return np.linalg.norm(measured - start - share * field) / np.linalg.norm(measured), share


def prediction(field, samples):
    with torch.no_grad():
        return field(samples.k, samples.t)


@pytest.mark.parametrize("factor", [0.1, 0.9, 1.5, 4.0, -1.0])
def test_share_and_error_are_those_of_least_squares(samples, factor):
    field = LinearField(2, seed=1)
    field.coefficients.data *= factor
    offset = 0.4 * samples.values + 0.05 * torch.as_tensor(complex_noise((300, 2), 31))
    error, (share,) = Judge(samples, offset)(field)
    expected = closed_form(samples, offset, prediction(field, samples))
    assert (error, share) == pytest.approx(expected, abs=1e-5)


def test_without_a_start_the_field_is_all_there_is(samples):
    field = LinearField(2, seed=7)
    error, (share,) = Judge(samples)(field)
    weight = np.linalg.norm(samples.k.numpy(), axis=1)[:, None]
    missing = np.abs((samples.values - prediction(field, samples)).numpy()) ** 2
    measured = np.abs(samples.values.numpy()) ** 2
    assert share == 1
    assert error == pytest.approx(np.sqrt((weight * missing).sum() / (weight * measured).sum()), rel=1e-5)


def test_a_field_that_points_the_wrong_way_has_no_share(samples, offset):
    """The error is then the start's own."""
    wrong = LinearField(2, seed=1)
    wrong.coefficients.data *= -1
    error, (share,) = Judge(samples, torch.zeros_like(offset))(wrong)
    assert share == 0
    assert error == pytest.approx(1.0)


@pytest.mark.parametrize(("part", "share"), [(1e-3, 0), (0.6, 1)])
def test_a_field_that_gains_next_to_nothing_has_no_share(samples, part, share):
    """Though what it says is right: noise would say as much."""
    right = LinearField(2, seed=1)
    right.coefficients.data *= part
    start = prediction(LinearField(2, seed=1), samples) - prediction(right, samples)
    rough = start + 0.2 * torch.as_tensor(complex_noise(start.shape, 33))
    error, (found,) = Judge(samples, rough)(right)
    assert found == pytest.approx(share, abs=0.2)
    assert found > 0 or error == Judge(samples, rough)(LinearField(2))[0]


def test_a_field_of_nothing_has_no_share_and_no_nan(samples, offset):
    error, (share,) = Judge(samples, offset)(LinearField(2))
    assert share == 0
    assert np.isfinite(error)


def test_a_perfect_field_has_no_error():
    field = LinearField(2, seed=1)
    samples = random_samples(field)
    assert Judge(samples)(field) == (pytest.approx(0, abs=1e-6), (1.0,))
    error, (share,) = Judge(samples, torch.zeros_like(samples.values))(field)
    assert (error, share) == (pytest.approx(0, abs=1e-5), pytest.approx(1))


def test_the_centre_of_k_space_does_not_decide(samples):
    at_centre = torch.zeros_like(samples.k)
    moved = torch.where(torch.arange(300)[:, None] < 150, at_centre, samples.k)
    values = torch.where(torch.arange(300)[:, None] < 150, 1e3, prediction(LinearField(2, seed=1), samples))
    changed = replace(samples, k=moved, values=values, importance=moved.norm(dim=-1))
    assert Judge(changed)(LinearField(2, seed=1))[0] == pytest.approx(0, abs=1e-6)


def test_chunks_do_not_show(samples, offset, monkeypatch):
    whole = Judge(samples, offset)(LinearField(2, seed=2))
    monkeypatch.setattr(judge_module, "_CHUNK", 77)
    error, shares = Judge(samples, offset)(LinearField(2, seed=2))
    assert (error, shares) == (pytest.approx(whole[0], rel=1e-6), pytest.approx(whole[1], rel=1e-6))


def test_components_have_shares_of_their_own(samples):
    """Of three parts one is right, one is twice too large, and one is noise."""
    right, twice = prediction(LinearField(2, seed=1), samples), prediction(LinearField(2, seed=5), samples)
    noise = torch.as_tensor(complex_noise(right.shape, 32))
    measured = replace(samples, values=right + 0.5 * twice)
    judge = Judge(measured, torch.zeros_like(right))
    error, shares = judge(lambda _k, _t: torch.stack([right, twice, noise]))
    assert shares == pytest.approx((1, 0.5, 0), abs=0.15)
    left = right + 0.5 * twice - shares[0] * right - shares[1] * twice - shares[2] * noise
    weight = np.linalg.norm(samples.k.numpy(), axis=1)[:, None]
    energies = [(weight * np.abs(each.numpy()) ** 2).sum() for each in (left, measured.values)]
    assert error == pytest.approx((energies[0] / energies[1]) ** 0.5, rel=1e-4)


def test_gains_that_noise_makes_by_chance_count_for_nothing(samples):
    """A field of noise has its best share, at which it fits the noise of few samples better than nothing."""
    noise, field = (torch.as_tensor(complex_noise((len(samples.k), 2), seed)) for seed in (40, 41))
    start = prediction(LinearField(2, seed=1), samples)
    for truth, has_share in ((0.0, False), (2.0, True)):
        measured = replace(samples, values=start + truth * field + noise)
        error, (share,) = Judge(measured, start)(lambda _k, _t: field)
        alone, _ = Judge(measured, start)(lambda _k, _t: torch.zeros_like(field))
        assert (share > 0) == has_share
        assert (error < alone) == has_share


def test_a_field_that_diverged_is_told_by_nan(samples, offset):
    field = LinearField(2, seed=2)
    field.coefficients.data[0] = float("nan")
    assert np.isnan(Judge(samples)(field)[0])
    assert np.isnan(Judge(samples, offset)(field)[0])


@pytest.mark.parametrize(("explained", "is_believed"), [(1, False), (6, True)])
def test_what_few_spokes_gain_is_believed_where_all_of_them_do(explained, is_believed):
    """A field that predicts one of six spokes, however well, may predict no other."""
    samples = random_samples(LinearField(2, seed=1))
    t = torch.arange(6).repeat_interleave(50) / 6
    judge = Judge(replace(samples, t=t), 0.5 * samples.values)

    def field(_k, times):
        return 0.5 * samples.values * (times < (explained - 0.5) / 6)[:, None]

    assert any(judge(field)[1]) == is_believed
