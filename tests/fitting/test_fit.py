from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest
import torch

from python_recon.errors import BackendError
from python_recon.fitting.descent import LOOKS
from python_recon.fitting.fit import fit
from python_recon.judging.judge import Judge
from python_recon.judging.shares import WHOLE
from python_recon.resources.schedule import Budget
from tests.fields.toys import PLAN, TRUTH, Everywhere, LinearField, generator, random_samples


def judge(noise=0.0):
    return Judge(random_samples(TRUTH, noise=noise, seed=50))


def run(plan=PLAN, budget=None, seed=0, noise=0.0, **options):
    net = LinearField(2)
    report = fit(
        net, random_samples(TRUTH, noise=noise), plan, budget or Budget(), generator(seed), **options
    )
    return net, report


def error_of(net):
    difference = net.coefficients - TRUTH.coefficients
    return float(difference.detach().norm() / TRUTH.coefficients.detach().norm())


def test_it_finds_the_field():
    net, report = run()
    assert error_of(net) < 0.06
    assert report.stopped == "step limit"
    assert report.steps == report.best_step == 200
    assert len(report.losses) == 20
    assert report.losses[-1] < 1e-2 * report.losses[0]
    assert report.held_out == []
    assert report.shares == WHOLE


def test_it_finds_what_is_missing_to_the_offset():
    samples, net = random_samples(TRUTH), LinearField(2)
    fit(net, samples, PLAN, Budget(), generator(), offset=2 * samples.values)
    assert float((net.coefficients + TRUTH.coefficients).detach().norm()) < 0.05


def test_the_field_ends_as_the_best_that_the_judge_saw():
    seen = []

    class Scripted:
        """Errors that fall and rise again."""

        def __call__(self, field):
            seen.append(field.coefficients.detach().clone())
            return abs(len(seen) - 3.0) + 1, (0.25 * len(seen),)

    net, report = run(judge=Scripted())
    assert torch.equal(net.coefficients, seen[2])
    assert report.shares == (0.75,)
    assert report.best_step == 30
    assert report.held_out[:5] == [3, 2, 1, 2, 3]


def test_it_ends_when_held_out_samples_are_predicted_no_better():
    net, report = run(replace(PLAN, steps=2000, learning_rate=0.3, anneals=False), judge=judge(), noise=0.5)
    assert report.stopped == "convergence"
    assert report.steps < 2000
    assert report.best_step == report.steps - 4 * 100
    assert min(report.held_out) == report.held_out[report.best_step // 100 - 1]
    assert error_of(net) < 0.2


@pytest.mark.parametrize(("begins", "looks"), [(0.0, 12), (0.5, 12), (0.7, 14)])
def test_it_does_not_end_before_pisco_has_had_its_time(begins, looks):
    """Most of the fit, or until it begins where that is later."""

    class Worse:
        n_calls = 0

        def __call__(self, _field):
            self.n_calls += 1
            return float(self.n_calls), WHOLE

    plan = replace(PLAN, consistency_from=begins)
    _, report = run(
        plan, judge=Worse(), consistency=Everywhere(lambda field: field.coefficients.square().sum())
    )
    assert report.stopped == "convergence"
    assert report.steps == (looks + 4) * 10
    assert report.best_step == 10


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_it_ends_at_the_deadline_with_a_field(seconds):
    started = time.monotonic()
    net, report = run(replace(PLAN, steps=10**7), Budget(seconds), judge=judge())
    assert report.stopped == "deadline"
    assert time.monotonic() - started < seconds + 2
    assert 1 <= report.steps < 10**7
    assert report.best_step == report.steps
    assert torch.isfinite(net.coefficients).all()
    if seconds:
        assert error_of(net) < 0.5


def test_it_can_be_cancelled():
    budget = Budget()
    budget.cancel()
    assert run(budget=budget)[1].steps == 1


def test_progress_is_told():
    told = []
    run(budget=Budget(report=lambda stage, done: told.append((stage, done))), judge=judge())
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert len(told) == 20
    assert all("loss" in stage and "held-out error" in stage for stage, _ in told)


class TestDivergence:
    def test_samples_of_nan_are_told(self):
        samples = random_samples(TRUTH)
        samples.values[:] = float("nan")
        with pytest.raises(BackendError, match=r"diverged.*not finite; lower options\.learning_rate"):
            fit(LinearField(2), samples, PLAN, Budget(), generator())

    @pytest.mark.parametrize("has_judge", [True, False])
    def test_a_step_that_spoils_the_field_is_seen_at_once(self, has_judge):
        """The data term, computed before it, is still finite."""
        plan = replace(PLAN, steps=1, consistency_weight=1.0)
        chosen = judge() if has_judge else None
        with pytest.raises(BackendError, match="diverged"):
            run(plan, judge=chosen, consistency=Everywhere(lambda field: math.nan * field.coefficients.sum()))

    @pytest.mark.parametrize("has_judge", [True, False])
    def test_a_fit_that_diverges_late_keeps_what_was_good(self, has_judge):
        n_calls = [0]

        def spoiling(field):
            n_calls[0] += 1
            return field.coefficients.sum() * (math.nan if n_calls[0] > 95 else 0.0)

        plan, chosen = replace(PLAN, consistency_weight=1.0), judge() if has_judge else None
        net, report = run(plan, judge=chosen, consistency=Everywhere(spoiling))
        assert report.best_step == 90
        assert torch.isfinite(net.coefficients).all()
        assert error_of(net) < 0.5


def rates_of(monkeypatch, plan, budget):
    rates = []
    step = torch.optim.Adam.step

    def recorded(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    run(plan, budget)
    return rates


def test_the_rate_falls_along_a_cosine(monkeypatch):
    rates = rates_of(monkeypatch, PLAN, Budget())
    expected = [0.15 + 0.15 * math.cos(math.pi * step / 200) for step in range(200)]
    assert rates == pytest.approx(expected)


def test_the_rate_has_fallen_by_the_deadline(monkeypatch):
    rates = rates_of(monkeypatch, replace(PLAN, steps=10**7), Budget(0.3))
    assert rates[0] > 0.27
    assert rates[-1] < 0.03


def test_the_published_rate_stays(monkeypatch):
    assert set(rates_of(monkeypatch, replace(PLAN, anneals=False), Budget())) == {0.3}


def test_same_seed_same_field():
    first, again, other = (run(noise=0.3, seed=seed)[0].coefficients for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    run(judge=judge())
    assert torch.equal(torch.rand(4), expected)


class TestConsistency:
    @staticmethod
    @Everywhere
    def pull(field):
        """Towards zero."""
        return field.coefficients.square().sum()

    def test_its_weight_decides(self):
        fields = [
            run(replace(PLAN, consistency_weight=weight), consistency=self.pull)[0]
            for weight in (0.0, 0.1, 10.0)
        ]
        norms = [float(net.coefficients.detach().norm()) for net in fields]
        assert norms[0] > norms[1] > norms[2]
        assert norms[2] < 0.2 * norms[0]

    @pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
    def test_it_begins_after_its_share_of_the_steps(self, share):
        calls = []
        plan = replace(PLAN, consistency_from=share, consistency_weight=0.1)
        run(plan, consistency=Everywhere(lambda f: calls.append(1) or self.pull(f)))
        assert len(calls) == round((1 - share) * 200)

    def test_it_begins_after_its_share_of_the_time(self):
        calls = []
        plan = replace(PLAN, steps=10**7, consistency_from=0.5, consistency_weight=0.1)
        run(plan, Budget(0.3), consistency=Everywhere(lambda f: calls.append(1) or self.pull(f)))
        assert calls

    @pytest.mark.parametrize(("has_own_steps", "n_steps"), [(False, 200), (True, 350)])
    def test_steps_of_its_own_or_shared_ones(self, monkeypatch, has_own_steps, n_steps):
        plan = replace(PLAN, consistency_from=0.25, consistency_weight=1.0, has_own_steps=has_own_steps)
        n_taken, step = [0], torch.optim.Adam.step

        def counted(self, *args, **kwargs):
            n_taken[0] += 1
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.Adam, "step", counted)
        run(plan, consistency=self.pull)
        assert n_taken[0] == n_steps


def test_frozen_parameters_stay():
    net, samples = LinearField(2, seed=9), random_samples(TRUTH)
    net.extra = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    fit(net, samples, replace(PLAN, uses_amsgrad=True), Budget(), generator())
    assert torch.equal(net.extra, torch.ones(3))
    assert LOOKS == 20


def test_it_runs_where_gradients_are_off():
    """As the ladder calls methods."""
    with torch.no_grad():
        assert error_of(run()[0]) < 0.06
