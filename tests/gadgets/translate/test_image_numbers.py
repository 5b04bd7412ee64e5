"""Numbers of images are unique, wherever the slices of a scan are reconstructed."""

from __future__ import annotations

import itertools

import pytest

from gadgets.translate.image_numbers import MAX_NUMBER, ImageNumbers
from python_recon.data import Counters

LIMITS = {"slice": 3, "contrast": 1, "set": 2}
PLACES = [Counters(slice=s, contrast=c, set=n) for s, c, n in itertools.product(range(4), range(2), range(3))]


def numbers(places, n_frames, limits=LIMITS):
    given = ImageNumbers()
    return {(place, frame): given.take(place, limits) for frame in range(n_frames) for place in places}


def test_all_slices_of_a_frame_come_before_the_next_frame():
    slices = [Counters(slice=number) for number in range(4)]
    found = numbers(slices, 3, {"slice": 3})
    assert list(found.values()) == list(range(1, 13))


def test_slices_apart_have_the_numbers_of_slices_together():
    together = numbers(PLACES, 5)
    assert sorted(together.values()) == list(range(1, 5 * len(PLACES) + 1))
    apart = {}
    for place in PLACES:
        apart |= numbers([place], 5)
    assert apart == together


@pytest.mark.parametrize("limits", [{}, {"slice": 1}], ids=["none", "too low"])
def test_a_header_that_does_not_know_its_slices(limits):
    found = numbers([Counters(slice=number) for number in range(4)], 3, limits)
    assert len(set(found.values())) == 12
    assert numbers([Counters()], 3, limits={}) == {(Counters(), frame): frame + 1 for frame in range(3)}


def test_a_slice_after_the_other_without_limits():
    given = ImageNumbers()
    slices = [0, 0, 0, 1, 1, 1]
    assert [given.take(Counters(slice=number), {}) for number in slices] == [1, 2, 3, 4, 5, 6]


def test_a_slice_alone_that_no_header_announces():
    assert list(numbers([Counters(slice=3)], 3, {}).values()) == [1, 2, 3]


def test_numbers_fit_the_header_of_an_image():
    assert ImageNumbers().take(Counters(slice=70_000), {"slice": 80_000}) == MAX_NUMBER
