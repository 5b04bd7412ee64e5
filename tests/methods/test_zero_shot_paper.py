from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.errors import DataError
from python_recon.fitting.splits import GroupedSlice
from python_recon.operators.toeplitz import SenseGram, point_spread_kernels
from python_recon.resources.schedule import Budget
from tests.numerics import as_numpy, complex_noise, relative_error, run_method, scan_heart

SMALL = {
    "zs_ssl_paper": {"channels": 8, "blocks": 2, "learning_rate": 3e-3},
    "zero_mirid_paper": {"channels": 6, "layers": 3, "learning_rate": 3e-3},
}
FEW = {"unrolls": 2, "iterations": 4, "splits": 4, "epochs": 15}


@pytest.fixture(scope="module")
def scan():
    """A still frame of 26 spokes, matrix 48, 4 coils, much noise."""
    return scan_heart(1, 26, 4, (48, 48), noise=0.15)


@pytest.fixture(scope="module", params=SMALL)
def fitted(request, scan):
    return run_method(request.param, scan.kspace, scan.maps, **FEW, **SMALL[request.param])


def test_it_learns_to_predict_what_it_does_not_see(fitted):
    errors = fitted.details["held_out"]
    assert min(errors) < 0.9 * errors[0]


def test_images_show_the_object(scan, fitted):
    """The network's or, where the validation set finds it no better, those of SENSE, under its name."""
    sense = scan.psnr(run_method("cg_sense", scan.kspace, scan.maps).images)
    assert scan.psnr(fitted.images) > sense - 0.05
    assert (fitted.made_by == "cg_sense") == (fitted.details["shares"] == (0.0,))


@pytest.mark.parametrize("name", SMALL)
def test_no_time_gives_the_images_of_sense_by_their_name(name, scan):
    options = {**FEW, **SMALL[name], "learning_rate": 1e-6}
    result = run_method(name, scan.kspace, scan.maps, budget=Budget(0.0), **options)
    assert result.made_by == "cg_sense"
    assert "no better than SENSE" in result.comment
    sense = run_method("cg_sense", scan.kspace, scan.maps).images
    assert relative_error(result.images, sense) < 0.02


@pytest.mark.parametrize("name", SMALL)
def test_frames_are_images_of_their_own(name):
    series = scan_heart(2, 30, 3, (24, 24), noise=0.05)
    result = run_method(name, series.kspace, series.maps, **{**FEW, "epochs": 1}, **SMALL[name])
    assert tuple(result.images.shape) == (2, 24, 24)
    assert np.isfinite(as_numpy(result.images)).all()


def test_a_fit_begins_with_the_former_one(scan):
    options = {**FEW, **SMALL["zs_ssl_paper"]}
    first = run_method("zs_ssl_paper", scan.kspace, scan.maps, **options)
    after = run_method("zs_ssl_paper", scan.kspace, scan.maps, budget=Budget(start=first.state), **options)
    assert after.details["held_out"][0] < 0.9 * first.details["held_out"][0]


def test_data_terms_of_parts_are_those_of_their_samples(scan):
    """Sums over groups, against kernels and right sides of the samples themselves."""
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    grouped = GroupedSlice(kspace, maps, 6, 0)
    gram, right_side = grouped.without([1, 4])
    seen = ~torch.isin(grouped._groups, torch.tensor([1, 4]))
    weights = grouped._weights * seen
    expected = SenseGram(point_spread_kernels(kspace.trajectory, weights, kspace.matrix), maps.maps)
    image = torch.as_tensor(complex_noise((1, 48, 48), 2))
    assert relative_error(gram(image), expected(image)) < 1e-3
    assert relative_error(right_side, grouped.sense.adjoint(weights[:, None] * kspace.data)) < 1e-3


@pytest.mark.parametrize("name", SMALL)
def test_what_cannot_be_learned_from_is_refused(name, scan):
    zeros = replace(scan.kspace, data=np.zeros_like(scan.kspace.data))
    with pytest.raises(DataError, match="all zero or not finite"):
        run_method(name, zeros, scan.maps)
    few = scan_heart(1, 13, 3, (24, 24), noise=0.05)
    with pytest.raises(DataError, match="25 groups of held-out samples"):
        run_method(name, few.kspace, few.maps)
