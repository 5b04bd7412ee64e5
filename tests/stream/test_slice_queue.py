"""Slices are fitted while others are received; nothing is lost or shown twice."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from python_recon.stream.slice_queue import SliceKey, SliceQueue
from tests.fake_fits import PATIENCE_S, Fitter, frame, no_thread_is_left, shown, wait_for_one


@pytest.fixture
def fitter():
    return Fitter()


def test_a_slice_is_done_while_the_next_is_received(fitter):
    with SliceQueue(fitter) as queue:
        for number in range(3):
            queue.add(frame(0, number))
            assert list(queue.ready()) == []
        queue.add(frame(1, 0))
        assert shown(wait_for_one(queue)) == [(0, [0, 1, 2])]
        queue.add(frame(1, 1))
        assert shown(queue.rest(60)) == [(1, [0, 1])]
    assert fitter.calls == [(0, 3), (1, 2)]
    assert fitter.budgets[0].seconds == float("inf"), "time before the last readout is free"
    assert 0 < fitter.budgets[1].seconds <= 60
    assert no_thread_is_left()


def test_receiving_does_not_wait_for_a_fit(fitter):
    fitter.may_end.clear()
    with SliceQueue(fitter) as queue:
        for index in range(3):
            for number in range(2):
                queue.add(frame(index, number))
                assert list(queue.ready()) == []
        fitter.may_end.set()
        assert shown(queue.rest(60)) == [(0, [0, 1]), (1, [0, 1]), (2, [0, 1])]


def test_interleaved_slices_are_fitted_once_at_the_end(fitter):
    fitter.may_end.clear()
    with SliceQueue(fitter) as queue:
        for number in range(4):
            for index in range(3):
                queue.add(frame(index, number))
                assert list(queue.ready()) == []
        fitter.may_end.set()
        assert shown(queue.rest(60)) == [(index, [0, 1, 2, 3]) for index in range(3)]
    assert fitter.calls[-3:] == [(0, 4), (1, 4), (2, 4)]
    assert len(fitter.calls) <= 4, "one fit may have begun before the slices came back; none begins twice"


def test_a_fit_that_is_given_up_is_told_to_end(fitter):
    fitter.may_end.clear()
    with SliceQueue(fitter) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0)):
            queue.add(each)
        assert fitter.begun.wait(PATIENCE_S)
        assert not fitter.budgets[0].is_spent
        queue.add(frame(0, 2))
        assert fitter.budgets[0].is_spent
        fitter.may_end.set()
        assert shown(queue.rest(60)) == [(0, [0, 1, 2]), (1, [0])]


def test_late_frames_come_with_the_quality_of_all_and_no_image_twice(fitter):
    with SliceQueue(fitter) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0)):
            queue.add(each)
        assert shown(wait_for_one(queue)) == [(0, [0, 1])]
        queue.add(frame(0, 2))
        first, second = queue.rest(60)
    assert shown([first, second]) == [(0, [2]), (1, [0])]
    assert first.images[0, 0, 0].imag == 3, "fitted together with the frames before"
    assert (first.first_frame, first.times_s) == (2, [0.2])


def test_after_late_frames_no_fit_begins_early(fitter):
    """The last frames of all slices are likely to come in the end, one after the other."""
    with SliceQueue(fitter) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0), frame(1, 1)):
            queue.add(each)
        wait_for_one(queue)
        queue.add(frame(0, 2))
        queue.add(frame(1, 2))
        assert shown(queue.rest(60)) == [(0, [2]), (1, [0, 1, 2])]
    assert fitter.calls == [(0, 2), (0, 3), (1, 3)]


def test_a_single_frame_waits_for_more(fitter):
    with SliceQueue(fitter) as queue:
        for each in (frame(0, 0), frame(1, 0), frame(0, 1)):
            queue.add(each)
        assert not fitter.begun.wait(0.05)
        queue.add(frame(1, 1))
        assert fitter.begun.wait(PATIENCE_S)
        assert fitter.calls == [(0, 2)]
        assert shown(queue.rest(60)) == [(0, [0, 1]), (1, [0, 1])]


def test_the_fit_under_way_gets_its_share_of_the_time_and_comes_first(fitter):
    """It ends with what it has when that is over, and its images count."""
    fitter.may_end.clear()
    with SliceQueue(fitter) as queue:
        for index in (0, 1):
            for number in range(2):
                queue.add(frame(index, number))
        assert fitter.begun.wait(PATIENCE_S)
        started = time.monotonic()
        assert shown(queue.rest(0.1)) == [(0, [0, 1]), (1, [0, 1])]
    assert time.monotonic() - started < PATIENCE_S / 2
    assert all(budget.is_spent for budget in fitter.budgets)
    assert fitter.budgets[1].seconds < 0.1


@pytest.mark.parametrize("seconds", [1e-9, 1e300])
def test_any_time_is_understood(fitter, seconds):
    with SliceQueue(fitter) as queue:
        queue.add(frame(0, 0))
        assert shown(queue.rest(seconds)) == [(0, [0])]


def test_a_fit_starts_from_what_the_last_one_of_its_contrast_left(fitter):
    with SliceQueue(fitter) as queue:
        for index in range(3):
            for contrast in range(2):
                queue.add(frame(index, 0, contrast))
        list(queue.rest(60))
    starts = [None, None, *[f"state of slice {index}" for index in (0, 0, 1, 1)]]
    assert [budget.start for budget in fitter.budgets] == starts


def test_what_was_given_up_is_nothing_to_start_from(fitter):
    fitter.may_end.clear()
    with SliceQueue(fitter) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0)):
            queue.add(each)
        assert fitter.begun.wait(PATIENCE_S)
        queue.add(frame(0, 2))
        fitter.may_end.set()
        list(queue.rest(60))
    assert [budget.start for budget in fitter.budgets] == [None, None, "state of slice 0"]


def test_progress_is_told_only_while_it_is_waited_for(fitter):
    told = []

    def fit(frames, budget):
        index = frames[0].counters.slice
        budget.report(f"slice {index}", 0.5)
        parts = list(fitter(frames, budget))
        budget.report(f"slice {index}", 1.0)
        return parts

    fitter.may_end.clear()
    with SliceQueue(fit, lambda stage, done: told.append((stage, done))) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0), frame(1, 1)):
            queue.add(each)
        assert fitter.begun.wait(PATIENCE_S)
        assert told == []
        fitter.may_end.set()
        next(rest := queue.rest(60))
        so_far = list(told)
        list(rest)
    assert set(so_far) <= {("slice 0", 1.0)}, "its end, if it was waited for"
    assert told[len(so_far) :] == [("slice 1", 0.5), ("slice 1", 1.0)]


def test_a_slice_is_named_by_what_sets_it_apart():
    key = SliceKey.of(replace(frame(3, 0, contrast=2), run=1))
    assert str(key) == "slice 3, contrast 2, run 1"
    assert str(SliceKey.of(frame(4, 0))) == "slice 4"
