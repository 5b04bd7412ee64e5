from __future__ import annotations

import ismrmrd
import pytest

from gadgets.translate.flags import (
    NOISE,
    NOT_IMAGING,
    PHASE_STABILISATION,
    PHASE_STABILISATION_REFERENCE,
    mask,
)
from tests.gadgets.acquisitions import acquisition


@pytest.mark.parametrize("flags", [(1,), (4, 19), (30, 31), (1, 64), (7, 7)])
def test_a_mask_has_the_bits_that_ismrmrd_sets(flags):
    assert acquisition(flags=flags).flags == mask(*flags)


def test_no_flags_are_no_bits():
    assert mask() == 0


def test_every_purpose_has_bits_of_its_own():
    masks = [NOISE, *NOT_IMAGING.values()]
    assert all(masks)
    bits = [bit for each in masks for bit in range(64) if each >> bit & 1]
    assert len(bits) == len(set(bits))


def test_phase_stabilisation_is_where_newer_versions_of_ismrmrd_have_it():
    names = {
        "ACQ_IS_PHASE_STABILIZATION_REFERENCE": PHASE_STABILISATION_REFERENCE,
        "ACQ_IS_PHASE_STABILIZATION": PHASE_STABILISATION,
    }
    named = {name: getattr(ismrmrd, name) for name in names if hasattr(ismrmrd, name)}
    if not named:
        pytest.skip("this version of ismrmrd does not name them")
    assert named == names
