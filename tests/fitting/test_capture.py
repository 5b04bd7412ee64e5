"""Steps as CUDA graphs, and without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from python_recon.fields.building import FieldOptions, build_field
from python_recon.fitting import capture
from python_recon.fitting.capture import captured
from python_recon.fitting.descent import adam, gradient_step
from python_recon.fitting.fit import FitPlan, fit
from python_recon.resources.schedule import Budget
from tests.fields.toys import Everywhere, LinearField, random_samples
from tests.numerics import relative_error

PLAN = FitPlan(
    steps=120,
    batch=64,
    learning_rate=1e-2,
    anneals=True,
    epsilon=0.1,
    outer_weight=0.0,
    consistency_weight=1e-3,
    consistency_from=1.0,
    has_own_steps=False,
)


def on_cuda(samples):
    moved = {name: getattr(samples, name).to("cuda") for name in ("k", "t", "values")}
    return replace(samples, **moved)


def sine_field(device="cuda"):
    options = FieldOptions(field="stiff", n_features=32, width=32, layers=2)
    return build_field(options, 2, torch.device(device), "plain", lambda: None, seed=0)


def fitted(errors=(), **changes):
    """Losses and parameters after a fit on CUDA; by errors of its candidates, a weight is chosen."""
    net, samples = sine_field(), on_cuda(random_samples(LinearField(2, seed=1)))
    generator = torch.Generator("cuda").manual_seed(0)
    pull = Everywhere(lambda field: sum(p.square().sum() for p in field.parameters()))
    judge = iter(errors).__next__ if errors else None
    plan = replace(PLAN, **changes)
    report = fit(net, samples, plan, Budget(), generator, consistency=pull, choose_weight=judge)
    return report.losses, torch.cat([p.detach().flatten() for p in net.parameters()])


def optimiser(device="cpu"):
    return adam([torch.nn.Parameter(torch.ones(2, device=device))], 0.1, torch.device(device))


def test_a_step_on_the_cpu_stays_what_it_is():
    step = lambda: torch.zeros(())  # noqa: E731
    assert captured(step, optimiser(), torch.device("cpu"), 1000) is step


def test_short_fits_are_not_captured_and_long_ones_are(monkeypatch):
    """A capture takes as long as the launches of dozens of steps; forms are kept by the kind of device."""
    step, graph = lambda: torch.zeros(()), lambda: torch.ones(())
    monkeypatch.setitem(capture._FORMS, "cpu", lambda _step, _optimiser: graph)
    assert captured(step, optimiser(), torch.device("cpu"), 40) is step
    assert captured(step, optimiser(), torch.device("cpu"), 150) is graph


def test_an_optimiser_is_capturable_within_a_capture_only():
    """Torch warns of one that says so and steps without a graph, and refuses one that does not within it."""
    adam_ = optimiser()
    assert not adam_.param_groups[0]["capturable"]
    with capture.capturable(adam_):
        assert adam_.param_groups[0]["capturable"]
    assert not adam_.param_groups[0]["capturable"]


@pytest.mark.cuda
def test_steps_before_and_beside_a_graph_give_no_warning():
    """Torch's warning would be an error here."""
    parameter = torch.nn.Parameter(torch.ones(2, device="cuda"))
    adam_ = adam([parameter], 0.1, torch.device("cuda"))
    step = gradient_step(adam_, lambda: (loss := parameter.square().sum()).backward() or loss.detach())
    run = captured(step, adam_, torch.device("cuda"), 1000)
    losses = [float(run()) for _ in range(6)] + [float(step())]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.cuda
def test_the_graph_does_what_the_step_did():
    state = torch.zeros((), device="cuda")

    def step():
        state.add_(1)
        return state * 2

    run = captured(step, optimiser("cuda"), torch.device("cuda"), 1000)
    assert [float(run()) for _ in range(8)] == [2, 4, 6, 8, 10, 12, 14, 16]


@pytest.mark.cuda
def test_a_step_that_no_graph_can_hold_runs_as_it_is():
    state, calls = torch.ones((), device="cuda"), []

    def step():
        calls.append(float(state))  # waits for the device, which a capture forbids
        return state.add_(1)

    run = captured(step, optimiser("cuda"), torch.device("cuda"), 1000)
    assert [float(run()) for _ in range(7)] == [2, 3, 4, 5, 6, 7, 8]
    assert len(calls) == 7


@pytest.mark.cuda
def test_a_captured_fit_is_that_of_single_steps():
    (losses, parameters), (expected_losses, expected) = fitted(), fitted(is_captured=False)
    assert losses == pytest.approx(expected_losses, rel=1e-2)
    assert relative_error(parameters, expected) < 1e-2


@pytest.mark.cuda
@pytest.mark.parametrize("has_own_steps", [True, False])
def test_steps_of_pisco_go_on_where_the_graph_ended(has_own_steps):
    changes = {"consistency_from": 0.5, "has_own_steps": has_own_steps, "uses_amsgrad": has_own_steps}
    (losses, parameters), (expected_losses, expected) = (
        fitted(**changes),
        fitted(is_captured=False, **changes),
    )
    assert losses == pytest.approx(expected_losses, rel=1e-2)
    assert relative_error(parameters, expected) < 1e-2


@pytest.mark.cuda
@pytest.mark.parametrize("begins", [0.0, 0.2])
@pytest.mark.parametrize("errors", [(1.0, 2.0, 2.0, 2.0, 2.0), (2.0, 1.0, 2.0, 2.0, 2.0)])
def test_trials_of_weights_go_back_and_forth_between_graph_and_steps(begins, errors):
    """The winner is a weight of 0, whose steps are captured, or one whose steps are not."""
    changes = {"errors": errors, "consistency_from": begins, "steps": 120}
    (losses, parameters), (expected_losses, expected) = (
        fitted(**changes),
        fitted(is_captured=False, **changes),
    )
    assert losses == pytest.approx(expected_losses, rel=2e-2)
    assert relative_error(parameters, expected) < 2e-2


@pytest.mark.cuda
def test_weights_and_their_moments_stay_in_single_precision():
    """Products are in bfloat16, what they change is not."""
    net, samples = sine_field(), on_cuda(random_samples(LinearField(2, seed=1)))
    fit(net, samples, replace(PLAN, steps=5), Budget(), torch.Generator("cuda").manual_seed(0))
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
