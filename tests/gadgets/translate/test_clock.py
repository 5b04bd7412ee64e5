"""Time stamps over midnight."""

from __future__ import annotations

import pytest

from gadgets.translate.clock import DAY, DayClock, is_later, stamp_of


@pytest.mark.parametrize(
    ("stamps", "ticks"),
    [
        ([DAY - 2, DAY - 1, 0, 1, DAY - 1, 3], [DAY - 2, DAY - 1, DAY, DAY + 1, DAY - 1, DAY + 3]),
        ([3, DAY - 2, 4], [3, -2, 4]),
        ([0, 14_400_000, 0, 14_400_001], [0, 14_400_000, 0, 14_400_001]),
        ([2 * DAY, 5, 3 * DAY], [2 * DAY, 5, 3 * DAY]),
    ],
)
def test_stamps_go_on_over_midnight(stamps, ticks):
    clock = DayClock()
    assert [clock.ticks(stamp) for stamp in stamps] == ticks


def test_a_time_has_the_stamp_that_it_came_with():
    clock = DayClock()
    for stamp in (DAY - 7, 5, 60):
        assert stamp_of(clock.seconds(stamp)) == stamp
    assert stamp_of(1e12) == 2**32 - 1


def test_order_over_midnight():
    assert is_later(3, DAY - 5)
    assert not is_later(DAY - 5, 3)
    assert not is_later(7, 7)
