"""Samples and coil maps that no field of k-space can be fitted to; for fields of images see subspace_inr."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import CoilMaps
from python_recon.errors import DataError
from tests.numerics import run_method

NAMES = ["nik", "pisco", "pisco_dist", "iconik", "nik_paper", "pisco_paper", "pisco_dist_paper"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("value", "fault"), [(0, "are all zero"), (np.nan, "are not finite")])
def test_samples_that_hold_nothing_are_told(small_heart, name, value, fault):
    kspace = replace(small_heart.kspace, data=np.full_like(small_heart.kspace.data, value))
    with pytest.raises(DataError, match=f"the samples {fault}"):
        run_method(name, kspace, small_heart.maps)


@pytest.mark.parametrize("name", NAMES)
def test_one_sample_that_is_no_number_is_told(small_heart, name):
    data = small_heart.kspace.data.copy()
    data[1, 0, 2, 3] = np.nan
    with pytest.raises(DataError, match="the samples are not finite"):
        run_method(name, replace(small_heart.kspace, data=data), small_heart.maps)


@pytest.mark.parametrize("name", NAMES)
def test_maps_that_hold_nothing_are_told(small_heart, name):
    """Coils that are combined with maps of zero would make black images."""
    maps = CoilMaps(np.zeros((4, 32, 32), np.complex64), "none")
    with pytest.raises(DataError, match="the coil maps are all zero"):
        run_method(name, small_heart.kspace, maps)
