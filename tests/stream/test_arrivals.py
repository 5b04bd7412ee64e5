"""Work is late only for data that come at the pace of a scan."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import Readout
from python_recon.stream.arrivals import Arrivals


def received(stamps_s, arrivals_s) -> list[Readout]:
    """Readouts of a scan, received so many seconds before now."""
    now_s, empty = time.monotonic(), np.zeros((1, 2), np.complex64)
    return [
        Readout(empty, time_s=stamp_s, arrived_s=now_s - ago_s)
        for stamp_s, ago_s in zip(stamps_s, arrivals_s, strict=True)
    ]


def watched(readouts) -> Arrivals:
    arrivals = Arrivals()
    assert list(arrivals.watch(readouts)) == readouts
    return arrivals


def test_a_scan_that_waited_for_a_device_is_late():
    arrivals = watched(received([100.0, 101.0, 102.0], [7.0, 6.0, 5.0]))
    assert arrivals.is_live
    assert 5.0 <= arrivals.age_s < 25.0


def test_a_file_that_waited_is_not():
    arrivals = watched(received([100.0, 101.0, 102.0], [5.02, 5.01, 5.0]))
    assert not arrivals.is_live
    assert arrivals.age_s == 0


def test_a_scan_whose_first_readouts_came_in_a_burst_is_known_in_time():
    """The peer held them back until it was connected."""
    stamps_s = [100.0, 104.0, 108.0, 120.0]
    arrivals_s = [12.0, 12.0, 11.9, 0.0]
    assert not watched(received(stamps_s[:3], arrivals_s[:3])).is_live
    assert watched(received(stamps_s, arrivals_s)).is_live


@pytest.mark.parametrize("known", [{"time_s": 0.0}, {"arrived_s": None}], ids=["stamps", "arrivals"])
def test_without_stamps_or_arrivals_nothing_is_late(known):
    unknown = [replace(each, **known) for each in received([1.0, 2.0], [9.0, 8.0])]
    assert watched(unknown).age_s == 0


def test_a_noise_scan_long_before_says_nothing():
    noise, *imaging = received([10.0, 100.0, 102.0], [7.0, 6.0, 4.0])
    arrivals = watched([replace(noise, is_noise=True), *imaging])
    assert arrivals.is_live


def test_before_the_first_readout_nothing_is_late():
    assert Arrivals().age_s == 0
