from __future__ import annotations

import math

import pytest

from python_recon.judging.margin import SURE, UNKNOWN, is_clearly_less


@pytest.mark.parametrize("by_chance", [None, 0.01])
def test_a_gain_counts_beyond_what_chance_does_and_not_before(by_chance):
    margin = UNKNOWN * 0.5 if by_chance is None else SURE * by_chance
    assert is_clearly_less(0.5 - 1.01 * margin, 0.5, by_chance)
    assert not is_clearly_less(0.5 - 0.99 * margin, 0.5, by_chance)
    assert not is_clearly_less(0.5 + 2 * margin, 0.5, by_chance)


@pytest.mark.parametrize("by_chance", [None, 0.0, 0.01])
def test_the_same_error_is_not_less(by_chance):
    assert not is_clearly_less(0.5, 0.5, by_chance)


@pytest.mark.parametrize(("error", "than"), [(math.nan, 0.5), (0.5, math.nan), (math.inf, 0.5)])
def test_what_is_no_number_is_never_less(error, than):
    assert not is_clearly_less(error, than)
    assert not is_clearly_less(error, than, 0.01)
