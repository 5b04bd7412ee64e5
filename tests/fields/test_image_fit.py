from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from python_recon.errors import BackendError
from python_recon.fields import image_fit
from python_recon.fields.image_fit import ComponentData, Descent, cosine, descend, joint_variation
from python_recon.schedule import Budget
from tests.numerics import budget_of_steps, complex_noise, relative_error


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


def run(net, backward, steps=100, rate=cosine, budget=None, judge=None, learning_rate=0.1):
    optimiser = torch.optim.Adam(net.parameters(), learning_rate)
    return descend(net, optimiser, backward, Descent("fit", steps, rate), budget or Budget(), judge)


class Matrix:
    """A normal operator as a dense matrix."""

    def __init__(self, root):
        self.normal = torch.as_tensor(root.conj().T @ root)

    def __call__(self, components):
        return (self.normal @ components.flatten()).reshape(components.shape)


@pytest.fixture
def known():
    """A data term |A u - y|^2 / 2 whose every part is known."""
    root, data = complex_noise((30, 24), 1), complex_noise((30,), 2)
    right_side = torch.as_tensor((root.conj().T @ data).reshape(2, 3, 4))
    energy = torch.tensor(float(np.vdot(data, data).real))
    return root, data, ComponentData(Matrix(root), right_side, energy)


def test_slope_and_misfit_of_the_data_term(known):
    root, data, term = known
    components = torch.as_tensor(complex_noise((2, 3, 4), 3))
    missing = root @ components.numpy().ravel() - data
    slope, misfit = term.slope(components)
    assert relative_error(slope.flatten(), root.conj().T @ missing) < 1e-4
    assert float(misfit) == pytest.approx(np.vdot(missing, missing).real / np.vdot(data, data).real, rel=1e-4)


def test_no_image_at_all_misses_all_of_the_data(known):
    assert float(known[2].slope(torch.zeros(2, 3, 4, dtype=torch.complex64))[1]) == 1


def test_joint_variation_counts_edges_that_coincide_once():
    step = torch.zeros(2, 5, 7, dtype=torch.complex64)
    step[0, :, 3:] = 3.0
    alone = joint_variation(step, torch.tensor(1.0))
    step[1, :, 3:] = 4.0j
    assert float(alone) == pytest.approx(15, rel=1e-3)
    assert float(joint_variation(step, torch.tensor(1.0))) == pytest.approx(25, rel=1e-3)


def test_joint_variation_has_a_slope_where_there_are_no_edges():
    flat = torch.ones(2, 5, 7, dtype=torch.complex64, requires_grad=True)
    joint_variation(flat, torch.tensor(1.0)).backward()
    assert torch.isfinite(torch.view_as_real(flat.grad)).all()


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
        return abs(judge_calls[-1] - 1.0), 0.5

    report = run(net, towards(net, 3.0), judge=judge)
    best = min(judge_calls, key=lambda value: abs(value - 1.0))
    assert net.number == best
    assert report.stopped == "convergence"
    assert report.share == 0.5
    assert report.best_step < report.steps < 100
    assert len(judge_calls) - judge_calls.index(best) - 1 == image_fit._PATIENCE


def test_the_rate_follows_what_is_done():
    net, rates = Weight(), []

    def backward(done):
        rates.append((done, optimiser.param_groups[0]["lr"]))
        return towards(net, 2.0)(done)

    optimiser = torch.optim.Adam(net.parameters(), 0.1)
    descend(net, optimiser, backward, Descent("fit", 10, lambda done: 1.0 if done < 0.5 else 0.5), Budget())
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
    assert reports[-1][0].startswith("fit, loss")


def test_without_any_time_there_is_one_step():
    net = Weight()
    report = run(net, towards(net, 2.0), budget=Budget(0.0))
    assert (report.steps, report.stopped) == (1, "deadline")


def test_divergence_is_an_error_that_names_the_cure():
    net = Weight(float("nan"))
    with pytest.raises(BackendError, match=r"the fit diverged: after 25 steps.*options\.learning_rate"):
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
