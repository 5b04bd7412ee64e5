"""Weights of a consistency term that held-out samples choose; the best one is planted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from python_recon.fitting.fit import fit
from python_recon.judging.judge import Judge
from python_recon.judging.weight_trials import SHARE, WEIGHTS, WeightTrials, best_weight
from python_recon.resources.schedule import Budget
from tests.fields import toys
from tests.fields.toys import TRUTH, Everywhere, LinearField, generator, random_samples
from tests.numerics import budget_of_steps

PLAN = replace(toys.PLAN, learning_rate=0.1, consistency_weight=0.3, consistency_from=0.2)
PULL = 60.0
"""Of the consistency terms: for the data term of these fits the candidates are small."""
LENGTH, OTHERS = round(SHARE * PLAN.steps), len(WEIGHTS) - 1


@Everywhere
def to_zero(field):
    return PULL * field.coefficients.square().sum()


@Everywhere
def to_truth(field):
    return PULL * (field.coefficients - TRUTH.coefficients.detach()).square().sum()


def run(plan=PLAN, consistency=to_zero, budget=None, is_chosen=True, noise=0.3, seed=0):
    net, judge = LinearField(2), Judge(random_samples(TRUTH, seed=50))
    report = fit(
        net,
        random_samples(TRUTH, noise=noise, n_points=40),
        plan,
        budget or Budget(),
        generator(seed),
        consistency=consistency,
        choose_weight=(lambda: judge(net)[0]) if is_chosen else None,
    )
    return net, report


def error_of(net):
    difference = net.coefficients - TRUTH.coefficients
    return float(difference.detach().norm() / TRUTH.coefficients.detach().norm())


def test_where_any_weight_harms_there_is_none():
    net, report = run()
    assert report.chosen["consistency_weight"] == 0
    assert error_of(net) < 0.5 * error_of(
        run(replace(PLAN, consistency_weight=max(WEIGHTS)), is_chosen=False)[0]
    )


def test_where_the_samples_mislead_the_weight_is_large():
    net, report = run(consistency=to_truth, noise=3.0)
    assert report.chosen["consistency_weight"] == max(WEIGHTS)
    assert error_of(net) < 0.5 * error_of(run(replace(PLAN, consistency_weight=0.0), is_chosen=False)[0])


def test_between_them_it_is_between_them():
    """Much noise: a little of the pull to zero is shrinkage, a lot leaves nothing."""

    @Everywhere
    def to_zero(field):
        return 18 * field.coefficients.square().sum()

    errors = {
        weight: error_of(run(replace(PLAN, consistency_weight=weight), to_zero, None, False, 4.0)[0])
        for weight in WEIGHTS
    }
    net, report = run(consistency=to_zero, noise=4.0)
    assert report.chosen["consistency_weight"] == min(errors, key=errors.get) == 0.005
    assert error_of(net) == errors[0.005]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({0.0: 0.9, 0.1: 0.5, 0.3: 0.57, 1.0: 0.6}, 0.3),
        ({0.0: 0.9, 0.1: 0.5, 0.3: math.nan, 1.0: 0.95}, 0.1),
        ({0.0: 0.5, 0.1: 0.5001, 1.0: 0.5002}, 0.0),
        ({0.0: 0.3569, 0.03: 0.3569 - 1e-6, 1.0: 0.3567}, 0.0),
        ({0.0: math.nan, 0.1: 0.7, 1.0: 0.6}, 1.0),
        ({0.0: math.inf, 0.1: math.nan}, None),
        ({}, None),
    ],
)
def test_the_best_is_the_largest_that_keeps_most_of_what_is_gained(errors, expected):
    assert best_weight(errors) == expected


@pytest.mark.parametrize("begins", [0.0, 0.2, 0.33])
@pytest.mark.parametrize("has_own_steps", [True, False])
def test_the_field_is_that_of_the_chosen_weight_alone(begins, has_own_steps):
    """Bit by bit: weights, moments, random numbers and learning rates are those of its own trial."""
    plan = replace(PLAN, consistency_from=begins, has_own_steps=has_own_steps, uses_amsgrad=has_own_steps)
    net, report = run(plan, to_truth, noise=3.0)
    alone, _ = run(
        replace(plan, consistency_weight=report.chosen["consistency_weight"]), to_truth, None, False, 3.0
    )
    assert report.chosen["consistency_weight"] > 0
    assert torch.equal(net.coefficients, alone.coefficients)


def test_the_steps_of_the_trials_count():
    told = []
    _, report = run(budget=Budget(report=lambda _stage, done: told.append(done)))
    assert report.steps == PLAN.steps + OTHERS * LENGTH <= 1.3 * PLAN.steps
    assert told == sorted(told)
    assert told[-1] == 1
    assert told[len(told) // 2] == pytest.approx(0.5, abs=0.06)


def test_all_trials_have_the_same_learning_rates(monkeypatch):
    rates, step = [], torch.optim.Adam.step

    def recorded(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    run()
    first, *others = (rates[40 + turn * LENGTH :][:LENGTH] for turn in range(len(WEIGHTS)))
    assert all(rates_of_other == first for rates_of_other in others)
    way = rates[:40] + first + rates[40 + len(WEIGHTS) * LENGTH :]
    assert way == pytest.approx([0.05 + 0.05 * math.cos(math.pi * number / 200) for number in range(200)])


def test_weights_that_spoil_the_field_are_not_chosen():
    net, report = run(consistency=Everywhere(lambda field: math.nan * field.coefficients.sum()))
    assert report.chosen["consistency_weight"] == 0
    assert error_of(net) < 0.3


def test_where_no_trial_leaves_a_field_the_fit_goes_on_from_before_them():
    net, samples = LinearField(2), random_samples(TRUTH)
    report = fit(
        net, samples, PLAN, Budget(), generator(), consistency=to_zero, choose_weight=lambda: math.nan
    )
    assert report.chosen == {}
    assert error_of(net) < 0.3


def test_a_deadline_within_the_trials_leaves_a_field():
    # A step takes 0.02 s here: the time is up in the second of five trials.
    plan = replace(PLAN, steps=20, consistency_from=0.0)
    net, report = run(plan, budget=budget_of_steps(2))
    assert report.stopped == "deadline"
    assert report.chosen == {}
    assert torch.isfinite(net.coefficients).all()


def trials_of(errors, begins=0.2):
    """Of a fit of a million steps, whose trials end with these errors."""
    optimiser = torch.optim.Adam(LinearField(2).parameters())
    return WeightTrials(begins, 10**6, [optimiser], generator(), iter(errors).__next__)


def test_time_that_is_short_is_divided_as_the_steps_are():
    trials = trials_of([1.0, 0.8, 0.5, 0.9])
    weights = [trials(number / 118) for number in range(118)]
    turns = [weight for weight in WEIGHTS for _ in range(6)]
    assert weights == [0.0] * 20 + turns + [0.02] * 74
    assert [trials.chosen(step) for step in (1, 35, 118)] == [0.0, 0.02, 0.02]
    assert trials.chosen(41) == 0.05, "that of a trial, where its field is the best"


def test_candidates_that_a_long_step_leaves_out_are_not_judged():
    trials = trials_of([1.0, 0.8])
    weights = [trials(done) for done in (0.1, 0.17, 0.3, 0.99)]
    assert weights == [0.0, 0.0, 0.02, 0.02]
    assert trials.chosen(4) is None


def test_a_fit_of_one_step_has_no_time_to_choose():
    _, report = run(replace(PLAN, steps=1, consistency_from=0.0))
    assert report.steps == 1 + OTHERS
    assert report.chosen == {}


def test_same_seed_same_choice():
    (first, report), (again, same), (other, _) = run(), run(), run(seed=1)
    assert report.chosen["consistency_weight"] == same.chosen["consistency_weight"]
    assert torch.equal(first.coefficients, again.coefficients)
    assert not torch.equal(first.coefficients, other.coefficients)
