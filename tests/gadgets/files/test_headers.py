from __future__ import annotations

import ismrmrd
import numpy as np
import pytest

from gadgets.files.headers import channel_mask, limit


@pytest.mark.parametrize("n_coils", [0, 1, 63, 64, 65, 128, 1024])
def test_the_mask_has_a_bit_for_each_of_the_first_coils(n_coils):
    words = channel_mask(n_coils)
    assert (words.shape, words.dtype) == ((ismrmrd.CHANNEL_MASKS,), np.uint64)
    bits = [int(word) >> place & 1 for word in words for place in range(64)]
    assert bits == [coil < n_coils for coil in range(1024)]


def test_a_limit_counts_from_zero_and_has_its_centre_in_the_middle():
    limits = limit(13)
    assert (limits.minimum, limits.maximum, limits.center) == (0, 12, 6)
