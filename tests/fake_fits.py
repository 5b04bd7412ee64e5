"""Fits of slices whose images hold the numbers of their frames, and which take as long as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from python_recon.data import Counters, ImageSeries, KSpace
from python_recon.resources.schedule import Budget
from python_recon.stream.slice_fit import Fit
from python_recon.stream.slice_queue import SliceQueue

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

    def __call__(self, frames, budget) -> Iterator[Fit]:
        self.calls.append((frames[0].counters.slice, len(frames)))
        self.budgets.append(budget)
        self.begun.set()
        deadline = time.monotonic() + PATIENCE_S
        while not (self.may_end.is_set() or budget.is_spent):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        yield Fit(series_of(frames), state=f"state of slice {frames[0].counters.slice}")


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
