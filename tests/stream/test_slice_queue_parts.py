"""Images of a slice leave as they are made, each once."""

from __future__ import annotations

import threading

import pytest

from python_recon.errors import BackendError
from python_recon.stream.slice_fit import Fit
from python_recon.stream.slice_queue import SliceQueue
from tests.fake_fits import PATIENCE_S, fit_all, frame, no_thread_is_left, series_of, shown, wait_for_one


class Renderer:
    """A fit that hands over frame by frame; the test says when the second and later ones are made."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.failure = failure

    def __call__(self, frames, budget):
        for index, each in enumerate(frames):
            if index:
                assert self.may_go_on.wait(PATIENCE_S)
                if self.failure and index == 2:
                    raise self.failure
            yield Fit(series_of([each]), f"state after {index + 1}")


def test_the_first_frame_is_handed_out_while_the_second_is_made():
    renderer = Renderer()
    renderer.may_go_on.clear()
    with SliceQueue(renderer) as queue:
        for number in range(3):
            queue.add(frame(0, number))
        rest = queue.rest(60)
        assert shown([next(rest)]) == [(0, [0])]
        renderer.may_go_on.set()
        assert shown(rest) == [(0, [1]), (0, [2])]
    assert no_thread_is_left()


def test_of_an_early_fit_what_is_made_is_handed_out_between_frames():
    renderer = Renderer()
    renderer.may_go_on.clear()
    with SliceQueue(renderer) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0)):
            queue.add(each)
        assert shown(wait_for_one(queue)) == [(0, [0])]
        assert list(queue.ready()) == []
        renderer.may_go_on.set()
        assert shown(queue.rest(60)) == [(0, [1]), (1, [0])]


def test_frames_that_come_amid_a_fit_make_no_image_twice():
    renderer = Renderer()
    renderer.may_go_on.clear()
    with SliceQueue(renderer) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0)):
            queue.add(each)
        assert shown(wait_for_one(queue)) == [(0, [0])]
        queue.add(frame(0, 2))
        renderer.may_go_on.set()
        assert shown(queue.rest(60)) == [(0, [1]), (0, [2]), (1, [0])]


def test_what_was_made_comes_before_the_error():
    frames, received = [*(frame(0, number) for number in range(4)), frame(1, 0)], []
    with pytest.raises(BackendError, match="1 of 2 slices failed: slice 0: no more"):
        fit_all(Renderer(BackendError("no more")), frames, received)
    assert shown(received) == [(0, [0]), (0, [1]), (1, [0])]


def test_the_next_slice_starts_from_the_last_part():
    starts = []

    def fit(frames, budget):
        starts.append(budget.start)
        yield from Renderer()(frames, budget)

    with SliceQueue(fit) as queue:
        for each in (frame(0, 0), frame(0, 1), frame(1, 0), frame(1, 1)):
            queue.add(each)
        list(queue.rest(60))
    assert starts == [None, "state after 2"]


def test_whoever_leaves_amid_the_images_leaves_no_thread():
    with SliceQueue(Renderer()) as queue:
        for number in range(50):
            queue.add(frame(0, number))
        next(queue.rest(60))
    assert no_thread_is_left()


def test_what_is_held_is_counted_until_it_is_fitted():
    with SliceQueue(Renderer()) as queue:
        frames = [frame(0, 0), frame(0, 1), frame(1, 0)]
        for each in frames:
            queue.add(each)
        assert queue.n_frames == 3
        assert queue.held_bytes == sum(each.data.nbytes + each.trajectory.nbytes for each in frames)
        list(queue.rest(60))
        assert (queue.n_frames, queue.held_bytes) == (0, 0)
