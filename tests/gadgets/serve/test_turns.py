"""A worker's turns at the device."""

from __future__ import annotations

import threading
import time

import pytest

from gadgets.serve.turns import Turns
from python_recon.errors import DeadlineError, StreamError
from python_recon.resources.schedule import Budget
from tests.serving import wait_until


class Daemon:
    """Grants every turn at once, or when it is told to."""

    def __init__(self, at_once=True, max_s=60.0, fair_s=60.0, check=lambda: None):
        self.told, self.at_once = [], at_once
        self.turns = Turns(self.hear, check, max_s, fair_s)

    def hear(self, event, **details):
        self.told.append(event)
        if event == "waiting" and self.at_once:  # from another thread, as the real one
            threading.Thread(target=self.turns.grant, args=(details["turn"],)).start()


def test_threads_of_one_scan_share_a_turn():
    daemon = Daemon()
    inside = threading.Event()

    def fit():
        with daemon.turns(Budget()):
            inside.set()

    with daemon.turns(Budget()):
        thread = threading.Thread(target=fit)
        thread.start()
        assert inside.wait(20)
        thread.join()
        assert daemon.told == ["waiting", "started"]
    assert daemon.told == ["waiting", "started", "left"]


def test_the_next_fit_waits_for_a_turn_of_its_own():
    daemon = Daemon()
    for _ in range(2):
        with daemon.turns(Budget()):
            pass
    assert daemon.told == ["waiting", "started", "left"] * 2


def test_a_fit_that_is_given_up_does_not_wait():
    daemon, budget = Daemon(at_once=False), Budget()
    budget.cancel()
    with pytest.raises(DeadlineError, match="given up"), daemon.turns(budget):
        pass
    assert daemon.told == ["waiting", "left"]


def test_a_scan_without_its_client_does_not_wait():
    def check():
        raise StreamError("the peer went away")

    daemon = Daemon(at_once=False, check=check)
    with pytest.raises(StreamError), daemon.turns(Budget()):
        pass
    assert daemon.told == ["waiting", "left"]


def test_a_grant_that_comes_too_late_is_not_that_of_the_next_turn():
    daemon, budget = Daemon(at_once=False), Budget()
    budget.cancel()
    with pytest.raises(DeadlineError), daemon.turns(budget):
        pass
    daemon.turns.grant(1)
    with pytest.raises(DeadlineError), daemon.turns(budget):
        pass
    assert "started" not in daemon.told


def test_a_turn_is_as_long_as_a_fit_may_take():
    daemon, budget = Daemon(max_s=0.05), Budget()
    with daemon.turns(budget):
        deadline = time.monotonic() + 20
        while not budget.is_spent:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_fit_gives_way_to_a_scan_that_waits_when_it_has_had_its_share():
    daemon, budget = Daemon(fair_s=0.01), Budget()
    with daemon.turns(budget):
        time.sleep(1.2)
        assert not budget.is_spent
        daemon.turns.is_waited_for = True
        wait_until(lambda: budget.is_spent, "it was to be ended")
    assert "because another scan waited for the device" in budget.cancelled_because


def test_the_slices_of_a_scan_have_one_share_together():
    daemon, budgets = Daemon(fair_s=2.0), [Budget(), Budget()]
    daemon.turns.is_waited_for = True
    spent_s = []
    for budget in budgets:
        started = time.monotonic()
        with daemon.turns(budget):
            wait_until(lambda budget=budget: budget.is_spent, "it was to be ended")
        spent_s.append(time.monotonic() - started)
    assert spent_s[0] > 2.0
    assert spent_s[1] < 1.9


def test_a_fit_has_its_share_whoever_waits():
    daemon, budget = Daemon(), Budget()
    daemon.turns.is_waited_for = True
    with daemon.turns(budget):
        time.sleep(1.2)
        assert not budget.is_spent


def test_a_fit_that_has_become_pointless_is_ended():
    is_gone = threading.Event()

    def check():
        if is_gone.is_set():
            raise StreamError("the peer went away")

    daemon, budget = Daemon(check=check), Budget()
    with daemon.turns(budget):
        assert not budget.is_spent
        is_gone.set()
        deadline = time.monotonic() + 20
        while not budget.is_spent:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "turn" not in {thread.name for thread in threading.enumerate()}


def test_waiting_is_measured():
    daemon = Daemon(at_once=False)
    threading.Timer(0.2, daemon.turns.grant, args=(1,)).start()
    with daemon.turns(Budget()):
        assert 0.1 < daemon.turns.waited_s < 20
