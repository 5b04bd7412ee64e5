"""Every series of a classical method tells how far it is expected to lie from the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import CoilMaps, KSpace
from python_recon.evaluation.metrics import nrmse
from python_recon.resources.schedule import Budget
from python_recon.stream.expectation import expectation
from tests.numerics import as_numpy, run_method, scan_heart


@pytest.fixture(scope="module")
def scan():
    return scan_heart(8, 21, 4, (32, 32))


@pytest.fixture(scope="module")
def prepared(scan) -> tuple[KSpace, CoilMaps]:
    return scan.kspace.to_torch(), scan.maps.to_torch()


@pytest.mark.parametrize("method", ["gridding", "cg_sense", "grasp", "subspace"])
def test_the_expected_error_is_near_the_true_one(scan, prepared, method):
    result = run_method(method, scan.kspace, scan.maps)
    told = expectation(result, *prepared, seconds=0.1, budget=Budget())
    true = nrmse(as_numpy(result.images), scan.truth)
    # What lies between the spokes is not seen: images that leave it empty are worse than they seem.
    assert told["expected_error"] == pytest.approx(true, rel=0.6 if method == "gridding" else 0.35)
    assert told["noise"] == "measured"


def test_nothing_is_told_where_there_is_no_time_for_it(scan, prepared):
    result = run_method("gridding", scan.kspace, scan.maps)
    assert expectation(result, *prepared, seconds=5.0, budget=Budget(6.0)) == {}
    assert expectation(result, *prepared, seconds=500.0, budget=Budget()) == {}


def test_a_second_run_that_fails_costs_no_image(scan, prepared, caplog):
    def fails(_kspace, _maps):
        raise RuntimeError("out of luck")

    result = replace(run_method("gridding", scan.kspace, scan.maps), again=fails)
    assert expectation(result, *prepared, seconds=0.1, budget=Budget()) == {}
    assert "out of luck" in caplog.text


def test_without_noise_there_is_no_risk(scan, prepared):
    kspace, maps = prepared
    result = run_method("gridding", scan.kspace, scan.maps)
    silent = replace(kspace, noise=replace(kspace.noise, std=0.0))
    assert expectation(result, silent, maps, seconds=0.1, budget=Budget()) == {}
    assert np.isfinite(as_numpy(result.images)).all()
