"""Slices are fitted while others are received; nothing is lost, shown twice or left running."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import Counters, ImageSeries, KSpace
from python_recon.errors import BackendError, DataError, ReconError
from python_recon.schedule import Budget
from python_recon.slice_queue import Fit, SliceKey, SliceQueue, raise_failures

PATIENCE_S = 20.0


def frame(index: int, number: int, contrast: int = 0) -> KSpace:
    return KSpace(
        np.full((1, 1, 3, 4), number, np.complex64),
        np.zeros((1, 3, 4, 2), np.float32),
        (5, 6),
        times_s=np.array([0.1 * number]),
        counters=Counters(slice=index, contrast=contrast),
        first_frame=number,
    )


def series_of(frames) -> ImageSeries:
    """Every image holds the number of its frame, and how many were fitted together."""
    images = np.stack([np.full((5, 6), each.first_frame + 1j * len(frames)) for each in frames])
    times_s = np.concatenate([each.times_s for each in frames])
    return ImageSeries(
        images, "fake", 2, counters=frames[0].counters, times_s=times_s, first_frame=frames[0].first_frame
    )


class Fitter:
    """A fit that takes as long as the test says, and writes down what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.budgets: list[Budget] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self, frames, budget) -> Fit:
        self.calls.append((frames[0].counters.slice, len(frames)))
        self.budgets.append(budget)
        self.begun.set()
        deadline = time.monotonic() + PATIENCE_S
        while not (self.may_end.is_set() or budget.is_spent):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return Fit(series_of(frames), state=f"state of slice {frames[0].counters.slice}")


@pytest.fixture
def fitter():
    return Fitter()


def numbers(series) -> list[int]:
    return [round(image[0, 0].real) for image in series.images]


def shown(all_series) -> list[tuple[int, list[int]]]:
    return [(each.counters.slice, numbers(each)) for each in all_series]


def wait_for_one(queue) -> list[ImageSeries]:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := list(queue.ready())):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found


def fit_all(fit, frames, received) -> None:
    """A scan from its first frame to the end."""
    with SliceQueue(fit) as queue:
        for each in frames:
            queue.add(each)
        received.extend(queue.rest(60))


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("slice-fit")]


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


def test_progress_is_told_only_while_it_is_waited_for(fitter):
    told = []

    def fit(frames, budget):
        index = frames[0].counters.slice
        budget.report(f"slice {index}", 0.5)
        result = fitter(frames, budget)
        budget.report(f"slice {index}", 1.0)
        return result

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


def test_a_slice_is_named_by_what_sets_it_apart():
    key = SliceKey.of(replace(frame(3, 0, contrast=2), run=1))
    assert str(key) == "slice 3, contrast 2, run 1"
    assert str(SliceKey.of(frame(4, 0))) == "slice 4"
