"""A method that fails gives way to a simpler one."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from python_recon.acquisition.noise_level import with_noise
from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError, ConfigError
from python_recon.methods import registry
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.schedule import Budget
from python_recon.stream import ladder
from python_recon.stream.ladder import climb_down
from tests.fake_methods import NoOptions, giving, images, kspace_and_maps, put_in_place, raising
from tests.numerics import run_method, scan_heart


@pytest.fixture
def climb(monkeypatch):
    """Climb down with these methods in the places of ours, and the remaining rungs missing."""

    def climb(budget: Budget | None = None, /, **methods: Method):
        put_in_place(monkeypatch, methods)
        return climb_down(*kspace_and_maps(), "grasp", {}, budget or Budget())

    return climb


def test_a_method_that_works_is_not_commented(climb):
    outcome = climb(grasp=giving(1.0))
    assert (outcome.method, outcome.comment) == ("grasp", "")


def test_a_method_that_cannot_end_in_time_is_not_begun(climb):
    """What gridding takes, on this machine as busy as it is, tells what a method will take at least."""

    def slowly(kspace, _maps, _options, _budget):
        time.sleep(0.1 * kspace.n_frames)
        return Reconstruction(images(2.0, kspace.n_frames))

    methods = {"grasp": giving(1.0), "gridding": Method(slowly, NoOptions)}
    outcome = climb(Budget(2.0), **methods)
    assert outcome.method == "gridding"
    assert "grasp was not begun: 2.0 s were left, and it takes 2." in outcome.comment
    assert climb(Budget(20.0), **methods).method == "grasp"


@pytest.mark.parametrize(
    "failing",
    [
        raising(RuntimeError("out of memory")),
        raising(MemoryError("no room")),
        raising(BackendError("no library")),
        raising(ZeroDivisionError("zero")),
        raising(np.linalg.LinAlgError("singular matrix")),
        giving(float("nan")),
        giving(float("inf")),
    ],
    ids=["runtime", "memory", "recon", "arithmetic", "linear algebra", "nan", "inf"],
)
def test_a_method_that_fails_gives_way_to_the_next_rung(climb, failing):
    outcome = climb(grasp=failing, subspace=giving(2.0), cg_sense=giving(3.0))
    assert outcome.method == "subspace"
    assert "grasp failed" in outcome.comment
    assert "made by subspace on cpu" in outcome.comment
    assert outcome.reconstruction.images.real.unique() == 2.0


def test_rungs_go_down_to_gridding(climb):
    outcome = climb(grasp=giving(float("nan")), gridding=giving(4.0))
    assert outcome.method == "gridding"
    assert "cg_sense is not here" in outcome.comment


def test_when_all_rungs_fail_each_is_named(climb):
    with pytest.raises(BackendError, match=r"boom.*subspace.*cg_sense.*gridding"):
        climb(grasp=raising(RuntimeError("boom")), gridding=raising(RuntimeError("bang")))


def test_a_mistake_in_the_program_is_no_reason_to_go_on(climb):
    with pytest.raises(TypeError):
        climb(grasp=raising(TypeError("a bug")), gridding=giving(1.0))


def test_wrong_options_are_told_before_anything_runs():
    kspace = KSpace(torch.zeros(1, 1, 3, 4, dtype=torch.complex64), torch.zeros(1, 3, 4, 2), (8, 10))
    with pytest.raises(ConfigError, match="no option"):
        climb_down(kspace, CoilMaps(torch.ones(1, 8, 10), "ones"), "cg_sense", {"lambda": 1}, Budget())


def test_a_budget_counts_down_and_reports():
    told = []
    budget = Budget(0.05, lambda stage, done: told.append((stage, done)))
    assert not budget.is_spent
    budget.report("fit", 0.5)
    time.sleep(0.06)
    assert budget.is_spent
    assert budget.left_s < 0
    assert told == [("fit", 0.5)]


def test_only_the_configured_method_starts_from_a_former_fit(climb):
    starts = []

    def noting(value: float) -> Method:
        def run(_kspace, _maps, _options, budget):
            starts.append(budget.start)
            return Reconstruction(images(value))

        return Method(run, NoOptions)

    budget = Budget(start="a state of grasp")
    climb(budget, grasp=noting(float("nan")), subspace=noting(1.0))
    assert starts == ["a state of grasp", None]


def test_built_in_rungs_are_registered():
    for name in ladder._FALLBACKS:
        assert registry.load_method(name)


class Greedy(Section):
    """Takes all the memory and all the time."""

    iterations: int = 5


def test_the_rung_below_does_the_work_with_what_time_is_left(monkeypatch):
    """A method of another package in the place of grasp, everything else as it runs at the scanner.

    Where it has left no time, that is gridding.
    """
    scan = scan_heart(4, 13, 4, (32, 32))
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()

    def failing(_kspace, _maps, options, _budget):
        time.sleep(0.05)
        raise RuntimeError(f"the data are broken after {options.iterations} iterations")

    monkeypatch.setattr(registry, "load_method", _instead("grasp", Method(failing, Greedy)))
    outcome = climb_down(kspace, maps, "grasp", {"iterations": 7}, Budget(60.0))
    assert outcome.method == "subspace"
    reason = "failed: the data are broken after 7 iterations"
    assert outcome.comment == f"grasp {reason}; made by subspace on cpu"
    expected = run_method("subspace", scan.kspace, scan.maps).images
    torch.testing.assert_close(outcome.reconstruction.images, expected)
    assert outcome.seconds > 0
    late = climb_down(kspace, maps, "grasp", {}, Budget(0.05))
    assert late.method == "gridding"
    assert "subspace failed: no time was left; cg_sense failed: no time was left" in late.comment
    assert scan.psnr(late.reconstruction.images) > 15


def _instead(name, method):
    def load(implementation, load_method=registry.load_method):
        return method if implementation == name else load_method(implementation)

    return load


def test_images_bear_the_name_of_what_made_them():
    """Too few spokes to judge a network by: the images are those of its start."""
    scan = scan_heart(2, 8, 2, (32, 32))
    kspace = with_noise(scan.kspace).to_torch()
    outcome = climb_down(kspace, scan.maps.to_torch(), "pisco", {}, Budget())
    assert (outcome.method, outcome.name) == ("pisco", "subspace")
