"""Images leave as they are made; what a rung cannot make is left to the next one."""

from __future__ import annotations

import time

import pytest
import torch

from python_recon.errors import BackendError
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down, climb_down_in_parts
from tests.fake_methods import (
    NoOptions,
    climb,
    giving,
    images,
    kspace_and_maps,
    put_in_place,
    raising,
    rendering,
    values,
)


def test_frames_come_as_they_are_made(monkeypatch):
    made = []

    def later():
        for number in (1, 2, 3):
            made.append(number)
            yield images(float(number), 1)

    method = Method(lambda *_: Reconstruction(images(0.0, 1), later=later()), NoOptions)
    put_in_place(monkeypatch, {"grasp": method})
    parts = climb_down_in_parts(*kspace_and_maps(), "grasp", {}, Budget())
    for number in range(4):
        assert values([next(parts)]) == [float(number)]
        assert made == list(range(1, number + 1))
    assert list(parts) == []


@pytest.mark.parametrize("then", [None, BackendError("no more")], ids=["too few", "an error"])
def test_what_is_missing_comes_from_the_next_rung(monkeypatch, then):
    put_in_place(monkeypatch, {"grasp": rendering(1.0, 1.0, then=then), "subspace": giving(2.0)})
    outcomes = climb()
    assert values(outcomes) == [1.0, 1.0, 2.0, 2.0]
    assert [each.method for each in outcomes] == ["grasp", "grasp", "subspace"]
    assert outcomes[0].comment == outcomes[1].comment == ""
    reason = then or "it made 2 of 4 frames"
    assert outcomes[2].comment == f"grasp failed: {reason}; made by subspace on cpu"


def test_a_frame_that_is_not_a_number_is_not_shown(monkeypatch):
    nan = float("nan")
    methods = {"grasp": rendering(1.0, nan, 1.0, 1.0), "subspace": rendering(2.0, 2.0, nan, nan)}
    put_in_place(monkeypatch, {**methods, "gridding": giving(3.0)})
    outcomes = climb()
    assert values(outcomes) == [1.0, 2.0, 3.0, 3.0]
    assert "the images hold NaN or Inf" in outcomes[1].comment


def test_where_no_rung_makes_the_rest_what_was_made_comes_before_the_error(monkeypatch):
    put_in_place(monkeypatch, {"grasp": rendering(1.0, 1.0), "gridding": raising(BackendError("broken"))})
    parts, received = climb_down_in_parts(*kspace_and_maps(), "grasp", {}, Budget()), []
    with pytest.raises(BackendError, match=r"it made 2 of 4 frames.*broken"):
        received.extend(parts)
    assert values(received) == [1.0, 1.0]


def test_the_parts_make_a_whole(monkeypatch):
    put_in_place(
        monkeypatch, {"grasp": rendering(1.0, 2.0, then=BackendError("no")), "subspace": giving(3.0)}
    )
    outcome = climb_down(*kspace_and_maps(), "grasp", {}, Budget())
    assert values([outcome]) == [1.0, 2.0, 3.0, 3.0]
    assert outcome.method == "subspace"
    assert outcome.reconstruction.later == ()


def test_who_receives_the_frames_keeps_gradients(monkeypatch):
    """They are made without; that is nobody else's business."""
    put_in_place(monkeypatch, {"grasp": rendering(1.0, 1.0, 1.0, 1.0)})
    for _ in climb_down_in_parts(*kspace_and_maps(), "grasp", {}, Budget()):
        assert torch.is_grad_enabled()


def test_without_time_the_direct_method_takes_over(monkeypatch):
    put_in_place(monkeypatch, {"grasp": giving(1.0), "cg_sense": giving(2.0), "gridding": giving(3.0)})
    (outcome,) = climb(Budget(0.0))
    assert outcome.method == "gridding"
    assert outcome.comment.startswith("grasp failed: no time was left")


def test_a_method_that_has_used_up_the_time_leaves_none_to_the_rungs_below(monkeypatch):
    budget = Budget()

    def run(*_):
        budget.cancel()
        raise RuntimeError("diverged in the last step")

    methods = {"grasp": Method(run, NoOptions), "subspace": giving(1.0), "gridding": giving(3.0)}
    put_in_place(monkeypatch, methods)
    (outcome,) = climb(budget)
    assert outcome.method == "gridding"
    assert "subspace failed: no time was left" in outcome.comment


def test_the_seconds_of_parts_add_up_to_those_of_the_whole(monkeypatch):
    """What the reader does between two parts is not the method's time, and no second counts twice."""

    def later():
        for _ in range(3):
            time.sleep(0.02)
            yield images(1.0, 1)

    method = Method(lambda *_: Reconstruction(images(0.0, 1), later=later()), NoOptions)
    put_in_place(monkeypatch, {"grasp": method})
    seconds, started = [], time.monotonic()
    for part in climb_down_in_parts(*kspace_and_maps(), "grasp", {}, Budget()):
        seconds.append(part.seconds)
        time.sleep(0.1)
    assert 0.06 <= sum(seconds) <= time.monotonic() - started - 0.4
