from __future__ import annotations

from dataclasses import replace

import pytest

from python_recon.resources import schedule
from python_recon.resources.schedule import Budget, Steps, silent


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when the test says so."""

    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(schedule, "time", clock)
    return clock


def test_a_budget_counts_down(clock):
    budget = Budget(3.0, started=clock.monotonic())
    assert budget.left_s == 3.0
    clock.now += 2.5
    assert budget.left_s == pytest.approx(0.5)
    assert not budget.is_spent
    clock.now += 0.5
    assert budget.is_spent
    clock.now += 1.0
    assert budget.left_s == pytest.approx(-1.0)


def test_a_budget_starts_when_it_is_made():
    assert 0.9 < Budget(1.0).left_s <= 1.0


def test_without_a_limit_there_is_always_time(clock):
    budget = Budget(started=clock.monotonic())
    clock.now += 1e9
    assert not budget.is_spent


def test_no_time_is_spent_at_once():
    assert Budget(0.0).is_spent


@pytest.mark.parametrize("seconds", [3.0, float("inf")])
def test_a_cancelled_budget_is_spent_and_so_are_its_copies(clock, seconds):
    budget = Budget(seconds, started=clock.monotonic())
    copy, other = replace(budget, start="a state"), Budget(seconds, started=clock.monotonic())
    budget.cancel()
    assert budget.is_spent
    assert copy.is_spent
    assert copy.left_s <= 0
    assert not other.is_spent


def test_a_budget_starts_from_nothing_unless_told():
    assert Budget().start is None


def test_steps_count_and_report(clock):
    reports = []
    budget = Budget(10.0, lambda stage, done: reports.append((stage, done)), clock.monotonic())
    steps = Steps(budget, "fit", 4)
    assert steps.done == 0
    assert not steps.is_last(1)
    assert not steps.is_last(2)
    clock.now += 11
    assert steps.is_last(3)
    assert steps.done == 3
    assert reports == [("fit", 0.25), ("fit", 0.5), ("fit", 0.75)]


def test_the_time_that_a_report_takes_counts(clock):
    def slow_report(_stage, _done):
        clock.now += 5

    steps = Steps(Budget(4.0, slow_report, clock.monotonic()), "fit", 2)
    assert steps.is_last(1)


def test_silence_is_the_default():
    assert silent("stage", 0.5) is None
    assert Budget().report is silent
