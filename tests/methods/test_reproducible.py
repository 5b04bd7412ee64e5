"""A change of the last bit, as another machine makes it, changes no image that anybody could tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.numerics import relative_error, run_method, scaled

NETWORK = {"steps": 40, "batch": 128, "width": 32, "n_features": 64}
SHORT = {
    "gridding": {},
    "cg_sense": {},
    "grasp": {},
    "subspace": {},
    "subspace_inr": {"levels": 4, "width": 24, "steps": 60},
    "st_inr": {"levels": 4, "width": 24, "distillation_steps": 30, "steps": 20},
    "nik": NETWORK,
    "pisco": {**NETWORK, "start": "none", "pisco_from": 0.2},
}
LIMITS = {"subspace_inr": 1e-2, "st_inr": 1e-2, "nik": 1e-2, "pisco": 1e-2}
"""Of the images; 1e-5 for what is no fit."""

pytestmark = pytest.mark.sensitive


def disturbed(kspace, what):
    noise = np.random.default_rng(5).normal(size=kspace.data.shape)
    if what == "samples":
        return replace(kspace, data=(kspace.data * (1 + 1e-7 * noise)).astype(np.complex64))
    places = kspace.trajectory * (1 + 1e-7 * noise[:, 0, ..., None])
    return replace(kspace, trajectory=places.astype(np.float32))


@pytest.mark.parametrize("what", ["samples", "places"])
@pytest.mark.parametrize("name", SHORT)
def test_the_last_bit_does_not_matter(small_heart, name, what):
    images = [
        run_method(name, kspace, small_heart.maps, **SHORT[name]).images
        for kspace in (small_heart.kspace, disturbed(small_heart.kspace, what))
    ]
    assert relative_error(*images) < LIMITS.get(name, 1e-5)


@pytest.fixture
def one_thread():
    """Several add up in the order in which they come: to the last bit runs agree with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", SHORT)
def test_a_unit_that_is_a_power_of_two_changes_no_bit(small_heart, name):
    smaller = scaled(small_heart.kspace, 2.0**-20)
    result = run_method(name, smaller, small_heart.maps, **SHORT[name]).images
    expected = run_method(name, small_heart.kspace, small_heart.maps, **SHORT[name]).images
    assert torch.equal(2.0**20 * result, expected)
