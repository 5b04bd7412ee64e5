"""The weight of PISCO that held-out spokes choose, and what happens where they cannot."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from python_recon.data import CoilMaps
from python_recon.fitting.checkpoint import load
from python_recon.judging.weight_trials import WEIGHTS
from python_recon.methods.registry import resolve
from python_recon.resources.memory import Size
from python_recon.resources.schedule import Budget
from tests.numerics import run_method, scan_heart, told_share

pytestmark = pytest.mark.sensitive

SMALL = {"steps": 40, "batch": 128, "width": 32, "n_features": 64}
ALONE = {**SMALL, "start": "none", "pisco_from": 0.2}
"""Without a subspace, where PISCO has more to say."""


UNUSED = "held-out spokes give the network no share: these are the images of its start"


def run(scan, name="pisco", kspace=None, maps=None, **options):
    return run_method(name, kspace or scan.kspace, maps or scan.maps, **{**SMALL, **options})


@pytest.mark.parametrize("name", ["pisco", "pisco_dist"])
@pytest.mark.parametrize("start", ["none", "subspace"])
def test_the_choice_is_told_wherever_the_images_go(small_heart, tmp_path, caplog, name, start):
    caplog.set_level(logging.INFO, "python_recon.judging.weight_trials")
    path = tmp_path / "field.safetensors"
    result = run(small_heart, name, start=start, checkpoint=str(path))
    chosen = result.details["chosen"]["consistency_weight"]
    assert chosen in WEIGHTS
    told = f"PISCO's weight {chosen:g}, chosen by held-out spokes" if any(result.details["shares"]) else ""
    assert result.comment == "; ".join(filter(None, [told, told_share(result)]))
    assert load(path).options["pisco_weight"] == chosen
    assert sum("held-out error" in message for message in caplog.messages) == len(WEIGHTS)


def test_a_fit_with_the_chosen_weight_gives_the_same_field(small_heart):
    """Where nobody stops it on its way, for which it is looked at elsewhere."""
    options = {**ALONE, "learning_rate": 3e-3}
    result = run(small_heart, **options)
    weight = result.details["chosen"]["consistency_weight"]
    again = run(small_heart, **{**options, "pisco_weight": weight})
    assert weight > 0
    assert result.details["best_step"] == result.details["steps"] == 40 + 3 * 2
    assert again.details["best_step"] == 40
    assert torch.equal(result.images, again.images)


def test_a_number_in_the_configuration_stays(small_heart):
    result = run(small_heart, **ALONE, pisco_weight=0.3)
    assert result.details["chosen"] == {}
    assert result.details["steps"] <= 40
    assert result.comment == told_share(result)
    assert not torch.equal(result.images, run(small_heart, **ALONE, pisco_weight=0.03).images)


@pytest.mark.parametrize("few", [True, False])
def test_without_held_out_spokes_it_is_the_documented_number(small_heart, few):
    kspace = small_heart.kspace.frames(slice(0, 2)) if few else small_heart.kspace
    options = ALONE if few else {**ALONE, "held_out_share": 0}
    result = run(small_heart, kspace=kspace, **options)
    assert "PISCO's weight is 0.02: no spokes are held out to choose it" in result.comment
    expected = run(small_heart, kspace=kspace, **options, pisco_weight=0.02)
    assert torch.equal(result.images, expected.images)
    assert result.details["steps"] == 40


def test_one_coil_has_nothing_to_choose():
    scan = scan_heart(6, 21, 1, (32, 32))
    result = run(scan, maps=CoilMaps(np.ones((1, 32, 32), np.complex64), "none"), **ALONE)
    assert result.comment == "one coil has no neighbours to learn from: fitted without PISCO"
    assert result.details["steps"] <= 40


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 40), (float("inf"), 1)])
def test_a_fit_that_is_too_short_to_choose_is_told(small_heart, seconds, steps):
    options = {**SMALL, "steps": steps}
    result = run_method("pisco", small_heart.kspace, small_heart.maps, budget=Budget(seconds), **options)
    told = "the fit was too short to choose PISCO's weight"
    assert result.comment == "; ".join(filter(None, [told, told_share(result)]))
    assert torch.isfinite(torch.view_as_real(result.images)).all()


@pytest.mark.parametrize("field", ["stiff", "coilwise"])
def test_fields_of_any_kind_can_choose(small_heart, field):
    result = run(small_heart, **ALONE, field=field, harmonics=1)
    assert result.details["chosen"]["consistency_weight"] in WEIGHTS


def test_the_published_weights_are_fixed():
    weights = [resolve(name, {})[1].pisco_weight for name in ("pisco_paper", "pisco_dist_paper", "nik_paper")]
    assert weights == [0.15, 0.1, 0.0]


def test_what_the_trials_keep_counts_as_memory():
    size = Size(8, 4, 8, 96, (48, 48))
    method, options = resolve("pisco", {"width": 1024, "layers": 8})
    fixed = options.model_copy(update={"pisco_weight": 0.1})
    states = (len(WEIGHTS) + 1) * 3 * 4 * 7 * 1024**2  # weights and two moments, of the inner layers
    assert method.memory(size, options) - method.memory(size, fixed) > 0.9 * states
