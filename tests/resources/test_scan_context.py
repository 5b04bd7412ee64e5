"""What accompanies a scan reaches the threads that work on it, and nothing else."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager

from python_recon.resources.scan_context import (
    device_turn,
    measured,
    present_work,
    remarking,
    sharing_device,
    tallied,
    tally,
    timed,
    with_remarks,
    working_on,
)
from python_recon.resources.schedule import Budget
from python_recon.stream.slice_queue import SliceQueue
from tests.fake_fits import Fitter, frame


def test_names_are_nested():
    with working_on(slice="slice 1"), working_on(method="grasp"):
        assert present_work() == {"slice": "slice 1", "method": "grasp"}
        with working_on(method="subspace"):
            assert present_work() == {"slice": "slice 1", "method": "subspace"}
    assert present_work() == {}


def test_warnings_of_a_scan_are_its_own_and_told_once():
    logger = logging.getLogger("python_recon.acquisition.somewhere")

    def other_scan():
        with remarking("python_recon.acquisition"):
            logger.warning("the other's")
            told.append(with_remarks(""))

    told = []
    with remarking("python_recon.acquisition"):
        thread = threading.Thread(target=other_scan)
        thread.start()
        thread.join()
        for number in range(3):
            logger.warning("spoke %d left out", number)
        logger.info("no warning")
        logging.getLogger("python_recon.outputs").warning("not about the data")
        logger.warning("slice 0: the maps are rough")
        told.append(with_remarks("the maps are rough; by gridding"))
    assert told == ["the other's", "the maps are rough; by gridding; spoke 0 left out"]
    assert with_remarks("outside") == "outside"


def test_stages_add_up_within_their_scan_only():
    with timed("method"):
        pass
    with measured() as seconds:
        for _ in range(2):
            with timed("method"):
                pass
        with measured() as others, timed("sending"):
            pass
    assert list(seconds) == ["method"]
    assert list(others) == ["sending"]


def test_events_are_counted_within_their_scan_only():
    tally("late")
    with tallied() as counts:
        for _ in range(2):
            tally("late")
        with tallied() as others:
            tally("early")
    assert counts == {"late": 2}
    assert others == {"early": 1}


def test_fits_take_turns_and_previews_do_not():
    """A turn holds for one slice; it is asked for by a thread that knows what it works on."""
    events = []

    @contextmanager
    def turn(budget):
        assert not budget.is_spent
        events.append(("in", present_work()["slice"]))
        yield
        events.append(("out", present_work()["slice"]))

    with sharing_device(turn), SliceQueue(Fitter()) as queue:
        for index in range(2):
            queue.add(frame(index, 0))
        assert events == [], "single frames wait for more"
        list(queue.rest(60))
    assert [name for _, name in events if name == "slice 0"]
    assert sorted(set(events)) == [(way, f"slice {index}") for way in ("in", "out") for index in (0, 1)]
    last = max(number for number, (_, name) in enumerate(events) if name == "slice 0")
    assert all(name == "slice 0" for _, name in events[: last + 1]), "the slices have turns of their own"


def test_nobody_waits_where_nobody_shares():
    with device_turn(Budget(0.0)):
        pass
