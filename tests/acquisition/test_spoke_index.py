"""Numbers of spokes from the counters of the sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_recon.acquisition.spoke_index import SpokeCounter
from python_recon.data import Counters, Readout, Scan

SAMPLES = np.ones((1, 4), np.complex64)


def make_scan(**limits):
    return Scan((64, 64), (64, 128), (300.0,) * 3, (300.0,) * 3, limits=limits)


def make_readout(scan_counter=0, **counters):
    return Readout(SAMPLES, Counters(**counters), scan_counter=scan_counter)


def numbers(readouts, scan):
    counter = SpokeCounter(readouts[:8], scan)
    return [counter.number(readout) for readout in readouts]


def repeated(period, total):
    return [make_readout(i, kspace_encode_step_1=i % period, repetition=i // period) for i in range(total)]


@given(
    period=st.integers(2, 9),
    total=st.integers(20, 60),
    lost=st.sets(st.integers(0, 59), max_size=30),
)
def test_lost_readouts_leave_gaps_whatever_is_lost(period, total, lost):
    readouts = repeated(period, total)
    kept = [i for i in range(total) if i not in lost]
    if len({readouts[i].counters for i in kept[:8]}) < 2:
        return
    scan = make_scan(kspace_encode_step_1=period - 1, repetition=total // period)
    assert numbers([readouts[i] for i in kept], scan) == kept


def test_one_spoke_a_repetition():
    readouts = [make_readout(i, repetition=i) for i in range(12) if i != 5]
    assert numbers(readouts, make_scan(repetition=11)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


def test_uint16_wrap_is_undone():
    true = np.arange(65520, 65560)
    readouts = [make_readout(i, kspace_encode_step_1=int(i) % 65536) for i in true if i not in (65536, 65537)]
    assert numbers(readouts, make_scan()) == [i for i in true if i not in (65536, 65537)]


def test_uint16_wrap_with_a_full_limit():
    true = list(range(65530, 65545))
    readouts = [make_readout(i, kspace_encode_step_1=i % 65536) for i in true]
    assert numbers(readouts, make_scan(kspace_encode_step_1=65535)) == true


def test_restarts_within_one_repetition_are_unwrapped():
    readouts = [make_readout(i, kspace_encode_step_1=i % 13) for i in range(52) if i not in (12, 26, 30)]
    scan = make_scan(kspace_encode_step_1=12)
    assert numbers(readouts, scan) == [i for i in range(52) if i not in (12, 26, 30)]


def test_restarts_without_a_limit_go_on_and_are_told(caplog):
    readouts = [make_readout(i, kspace_encode_step_1=i % 13, repetition=i // 13) for i in range(39)]
    assert numbers(readouts, make_scan()) == list(range(39))
    assert caplog.text.count("gives no limit") == 1


def test_a_limit_that_is_too_small_is_not_believed(caplog):
    readouts = [make_readout(i, kspace_encode_step_1=i, repetition=i // 10) for i in range(40)]
    assert numbers(readouts, make_scan(kspace_encode_step_1=5, repetition=3)) == list(range(40))
    assert "beyond the header's limit" in caplog.text


def test_a_step_that_counts_through_the_repetitions_is_not_counted_twice():
    kept = [i for i in range(52) if i not in (13, 30)]
    readouts = [make_readout(100 + 2 * i, kspace_encode_step_1=i, repetition=i // 13) for i in kept]
    assert numbers(readouts, make_scan(kspace_encode_step_1=51, repetition=3)) == kept


def test_scan_counter_numbers_when_the_counters_stand_still(caplog):
    # Two slices in turn: the scan counter advances by two from spoke to spoke of a slice.
    readouts = [make_readout(40 + i, slice=i % 2) for i in range(30) if i not in (8, 9, 17)]
    got = numbers(readouts, make_scan())
    assert got == [i // 2 for i in range(30) if i not in (8, 9, 17)]
    assert "scan_counter" in caplog.text


def test_arrival_is_the_last_resort_and_told(caplog):
    assert numbers([make_readout() for _ in range(5)], make_scan()) == [0, 1, 2, 3, 4]
    assert "as they arrive" in caplog.text


@pytest.mark.parametrize("key", ["slice", "contrast", "set"])
def test_streams_are_numbered_by_themselves(key):
    readouts = [make_readout(i, kspace_encode_step_1=i // 3, **{key: i % 3}) for i in range(30)]
    assert numbers(readouts, make_scan(kspace_encode_step_1=9)) == [i // 3 for i in range(30)]


def test_a_late_readout_gets_its_own_number():
    readouts = repeated(10, 30)
    readouts[14], readouts[16] = readouts[16], readouts[14]
    got = numbers(readouts, make_scan(kspace_encode_step_1=9))
    assert got == [*range(14), 16, 15, 14, *range(17, 30)]
