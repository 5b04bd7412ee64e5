"""Corrections that fail."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.acquisition.optional import attempt
from python_recon.data import KSpace

KSPACE = KSpace(
    np.ones((1, 1, 2, 4), np.complex64),
    np.zeros((1, 2, 4, 2), np.float32),
    (4, 4),
    comment="a beat is missing",
)


def singular(kspace):
    np.linalg.inv(np.zeros((2, 2)))
    return kspace


def test_a_correction_that_fails_costs_no_slice(caplog):
    kept = attempt("gradient delays", singular, KSPACE)
    assert kept.data is KSPACE.data
    assert kept.comment == "a beat is missing; gradient delays could not be corrected"
    assert "Singular matrix" in caplog.text


def test_one_that_succeeds_is_kept_as_it_is():
    assert (
        attempt("gradient delays", lambda given: given.frames(slice(0, 1)), KSPACE).comment == KSPACE.comment
    )


def test_faults_of_the_program_are_not_hidden():
    with pytest.raises(AttributeError):
        attempt("gradient delays", lambda given: given.nothing, KSPACE)
