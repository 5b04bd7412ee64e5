"""Weights that the risk chooses."""

from __future__ import annotations

import math

import pytest
import torch

from python_recon.errors import ConfigError
from python_recon.judging.weights import least_risk, number, tuned, wanted, without_auto
from python_recon.methods.registry import resolve
from python_recon.methods.subspace import FIRST, SubspaceOptions
from python_recon.resources.schedule import Budget
from tests.numerics import run_method, scan_heart


def valley(best: float, depth: float = 0.1):
    return lambda factor: 1 + depth * (math.log2(factor / best)) ** 2


@pytest.mark.parametrize("best", [0.6, 1.0, 1.7])
def test_the_best_factor_is_found(best):
    found = least_risk(valley(best))
    assert found <= best * 1.01
    assert valley(best)(found) < 1.0105


def test_where_weights_are_as_good_the_smaller_is_taken():
    assert least_risk(valley(1.0, depth=0.005)) == 0.5


def test_a_fall_that_does_not_end_is_followed_to_the_last_trial():
    assert least_risk(lambda factor: 1 / factor) == 4
    assert least_risk(lambda factor: factor) == 0.5


def test_when_the_time_is_over_the_search_ends():
    tried = []
    assert least_risk(lambda factor: tried.append(factor) or 1.0, lambda: True) == 1
    assert tried == [1]


def test_only_what_is_auto_is_chosen():
    options = SubspaceOptions(regularisation="auto", spatial_regularisation=0.7)
    assert wanted(options, FIRST) == ["regularisation"]
    assert without_auto(options, FIRST).regularisation == FIRST["regularisation"]
    assert without_auto(options, FIRST).spatial_regularisation == 0.7
    with pytest.raises(ValueError, match="still to be chosen"):
        number("auto")


def test_numbers_ask_for_no_run():
    scan = scan_heart(4, 8, 3, (24, 24))
    options = SubspaceOptions(regularisation=1.0, spatial_regularisation=0.7)

    def never(_kspace, _maps):
        raise AssertionError("nothing was to be chosen")

    chosen = tuned(never, scan.kspace.to_torch(), scan.maps.to_torch(), options, FIRST, Budget())
    assert chosen == options


def test_more_noise_asks_for_more_smoothing_relative_to_the_image():
    """In units of the noise the weight is about the same; subspace follows the noise by itself."""
    weights = {}
    for noise in (0.03, 0.12):
        scan = scan_heart(8, 13, 4, (32, 32), noise=noise)
        weights[noise] = run_method("subspace", scan.kspace, scan.maps).details["spatial_regularisation"]
    assert noise * weights[0.12] > 0.03 * weights[0.03]


def test_the_choice_is_not_worse_than_the_former_rule():
    scan = scan_heart(1, 21, 5, (48, 48), contraction=0.0, breathing_amplitude_mm=0.0, contrast=0.0)
    chosen = run_method("subspace", scan.kspace, scan.maps)
    former = math.pi / 2 * 48 / 21 * 0.5
    with torch.no_grad():
        before = run_method("subspace", scan.kspace, scan.maps, spatial_regularisation=former)
    assert scan.psnr(chosen.images) > scan.psnr(before.images) + 1


def test_a_word_that_is_no_weight_is_refused():
    with pytest.raises(ConfigError, match="spatial_regularisation"):
        resolve("subspace", {"spatial_regularisation": "automatic"})
