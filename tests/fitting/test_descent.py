from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from python_recon.errors import BackendError
from python_recon.fitting.descent import Descent, adam, constant, cosine, descend, stepping
from python_recon.judging.shares import WHOLE
from python_recon.resources.schedule import Budget
from tests.numerics import budget_of_steps


class Weight(nn.Module):
    """One number."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    @property
    def number(self):
        return float(self.value.detach())


def towards(net, target):
    def backward(_done):
        loss = (net.value - target).square()
        loss.backward()
        return loss.detach()

    return backward


def run(net, backward, budget=None, judge=None, **options):
    optimiser = adam(net.parameters(), 0.1, torch.device("cpu"))
    descent = Descent(**{"stage": "fit", "steps": 100, "rate": cosine, **options})
    return descend(net, optimiser, stepping(optimiser, backward), descent, budget or Budget(), judge)


def test_a_descent_arrives():
    net = Weight()
    report = run(net, towards(net, 2.0))
    assert net.number == pytest.approx(2, abs=0.05)
    assert report.stopped == "step limit"
    assert report.steps == 100
    assert len(report.losses) == 20
    assert report.losses[-1] < report.losses[0]


def test_the_best_field_that_the_judge_saw_is_kept():
    net = Weight()
    judge_calls = []

    def judge():
        judge_calls.append(net.number)
        return abs(judge_calls[-1] - 1.0), (0.5,)

    report = run(net, towards(net, 3.0), judge=judge, patience=5)
    best = min(judge_calls, key=lambda value: abs(value - 1.0))
    assert net.number == best
    assert report.stopped == "convergence"
    assert report.shares == (0.5,)
    assert report.best_step < report.steps < 100
    assert len(judge_calls) - judge_calls.index(best) - 1 == 5


def test_the_rate_follows_what_is_done():
    net, rates = Weight(), []

    def backward(done):
        rates.append((done, optimiser.param_groups[0]["lr"]))
        return towards(net, 2.0)(done)

    optimiser = torch.optim.Adam(net.parameters(), 0.1)
    descent = Descent("fit", 10, lambda done: 1.0 if done < 0.5 else 0.5)
    descend(net, optimiser, stepping(optimiser, backward), descent, Budget())
    assert [rate for _, rate in rates] == pytest.approx([0.1] * 5 + [0.05] * 5)
    assert [done for done, _ in rates] == pytest.approx(np.arange(10) / 10)


def test_a_deadline_ends_it_with_what_there_is():
    net, reports = Weight(), []
    slow = budget_of_steps(3)

    def backward(done):
        slow.report("", done)
        return towards(net, 2.0)(done)

    budget = Budget(slow.seconds, lambda stage, done: reports.append((stage, done)))
    report = run(net, backward, budget=budget)
    assert report.stopped == "deadline"
    assert 1 <= report.steps <= 3
    assert net.number > 0
    assert reports[-1][0].startswith("fit, step ")
    assert ", loss " in reports[-1][0]


def test_without_any_time_there_is_one_step():
    net = Weight()
    report = run(net, towards(net, 2.0), budget=Budget(0.0))
    assert (report.steps, report.stopped) == (1, "deadline")


def test_divergence_is_an_error_that_names_the_cure():
    net = Weight(float("nan"))
    with pytest.raises(BackendError, match=r"the fit diverged: after 20 steps.*options\.learning_rate"):
        run(net, towards(net, 2.0))


def test_a_descent_that_diverges_late_gives_its_last_finite_field():
    net = Weight()

    def backward(done):
        loss = towards(net, 2.0)(done)
        return loss if done < 0.5 else loss * float("nan")

    report = run(net, backward)
    assert report.best_step == 50
    assert np.isfinite(net.number)
    assert report.stopped == "divergence"


def test_without_a_judge_nothing_but_divergence_ends_it_early():
    net = Weight()
    report = run(net, towards(net, 0.0), rate=constant)
    assert (report.steps, report.stopped, report.best_step) == (100, "step limit", 100)


def test_it_settles_after_its_early_part_only():
    net, calls = Weight(), []

    def judge():
        calls.append(len(calls))
        return float(len(calls)), WHOLE

    report = run(net, towards(net, 2.0), judge=judge, settles_from=0.5)
    assert report.steps == (10 + 4) * 5
    assert report.best_step == 5


@pytest.mark.parametrize(("gain", "n_looks"), [(1e-4, 4), (2.5e-4, 20), (1e-3, 20)])
def test_gains_too_small_to_see_do_not_keep_it_going(gain, n_looks):
    """The best field is taken all the same, and small gains count together."""
    net, errors = Weight(), []

    def judge():
        errors.append((1 - gain) ** len(errors))
        return errors[-1], WHOLE

    report = run(net, towards(net, 2.0), judge=judge, patience=3)
    assert report.steps == 5 * n_looks
    assert report.best_step == report.steps


def test_figures_are_tracked():
    net, tracked = Weight(), []
    optimiser = adam(net.parameters(), 0.1, torch.device("cpu"))
    steps = stepping(optimiser, towards(net, 1.0))
    descend(
        net,
        optimiser,
        steps,
        Descent("fit", 40, constant),
        Budget(),
        lambda: (0.5, (0.3,)),
        lambda step, figures: tracked.append((step, dict(figures))),
    )
    assert [step for step, _ in tracked] == [2, 4, 6, 8, 10]
    assert set(tracked[0][1]) == {"loss", "share", "held-out error"}


@pytest.mark.cuda
def test_the_rates_on_cuda_are_those_of_the_cpu():
    net = Weight().to("cuda")
    optimiser = adam(net.parameters(), 0.1, torch.device("cuda"))
    report = descend(
        net, optimiser, stepping(optimiser, towards(net, 2.0)), Descent("fit", 100, cosine), Budget()
    )
    assert net.number == pytest.approx(2, abs=0.05)
    assert report.losses[-1] < report.losses[0]
