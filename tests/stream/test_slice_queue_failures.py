"""Slices that fail cost no other, and whatever ends a scan leaves no fit running."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.errors import BackendError, DataError, ReconError
from python_recon.stream.slice_queue import SliceKey, SliceQueue, raise_failures
from tests.fake_fits import PATIENCE_S, Fitter, fit_all, frame, no_thread_is_left, shown


@pytest.fixture
def fitter():
    return Fitter()


def test_other_slices_come_before_the_error_that_names_those_that_failed(fitter, caplog):
    def fit(frames, budget):
        index = frames[0].counters.slice
        if index in (1, 2):
            raise DataError(f"no signal in {index}")
        return fitter(frames, budget)

    frames = [frame(index, number) for index in range(4) for number in range(2)]
    reasons = "2 of 4 slices failed: slice 1: no signal in 1; slice 2: no signal in 2"
    received = []
    with pytest.raises(DataError, match=reasons):
        fit_all(fit, frames, received)
    assert sorted(shown(received)) == [(0, [0, 1]), (3, [0, 1])]
    assert "slice 1 failed" in caplog.text


def test_a_slice_that_failed_early_is_tried_again_with_its_late_frames(fitter):
    def fit(frames, budget):
        if len(frames) == 2:
            raise np.linalg.LinAlgError("singular")
        return fitter(frames, budget)

    with SliceQueue(fit) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0), frame(0, 2)):
            queue.add(each)
        assert shown(queue.rest(60)) == [(0, [0, 1, 2]), (1, [0])]


def test_a_mistake_in_the_program_is_raised_as_it_is():
    def fit(_frames, _budget):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        fit_all(fit, [frame(0, 0)], [])
    assert no_thread_is_left()


def test_leaving_early_ends_the_fit_under_way(fitter):
    def interrupted():
        yield from (frame(index, number) for index in range(3) for number in range(2))
        assert fitter.begun.wait(PATIENCE_S)
        raise KeyboardInterrupt

    fitter.may_end.clear()
    with pytest.raises(KeyboardInterrupt):
        fit_all(fitter, interrupted(), [])
    assert no_thread_is_left()
    assert fitter.budgets[0].is_spent
    assert fitter.calls == [(0, 2)], "what was waiting does not begin"


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([DataError("a"), DataError("b")], DataError),
        ([DataError("a"), BackendError("b")], ReconError),
        ([RuntimeError("a")], BackendError),
    ],
)
def test_failures_of_one_kind_keep_it(errors, kind):
    failures = {SliceKey(index, 0, 0, 0): error for index, error in enumerate(errors)}
    with pytest.raises(ReconError, match=f"{len(errors)} of 5 slices failed: slice 0: a") as raised:
        raise_failures(failures, 5)
    assert type(raised.value) is kind


def test_no_failure_is_no_error():
    raise_failures({}, 3)
