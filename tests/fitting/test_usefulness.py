"""Fits that are stopped before they have learned anything give way to gridding, which takes no time."""

from __future__ import annotations

import pytest
import torch

from python_recon.errors import DeadlineError
from python_recon.fitting.checkpoint import load
from python_recon.fitting.usefulness import _mean_errors
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.numerics import run_method, scan_heart

TINY = {
    "nik": {},
    "iconik": {},
    "subspace_inr": {},
    "nik_paper": {"width": 16, "layers": 1, "batch": 64},
    "pisco_paper": {"width": 16, "batch": 64, "pisco_weight": 0.0},
    "iconik_paper": {"width": 16, "layers": 1, "batch": 64},
    "st_inr_paper": {"levels": 2, "log2_table_size": 10, "width": 16},
}


@pytest.fixture(scope="module")
def scan():
    return scan_heart(8, 13, 4, (32, 32))


def impatient(start=None):
    """A budget that is cancelled at its first report."""
    budget = Budget(report=lambda _stage, _done: budget.cancel(), start=start)
    return budget


@pytest.mark.parametrize("name", TINY)
def test_a_fit_of_two_steps_is_gridded(scan, name):
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    outcome = climb_down(kspace, maps, name, {"steps": 20, **TINY[name]}, impatient())
    spokes = "its own" if name.endswith("_paper") else "held-out"
    assert outcome.method == "gridding"
    assert f"{name} failed: time ran out while the field predicted {spokes} spokes" in outcome.comment
    gridded = run_method("gridding", scan.kspace, scan.maps).images
    torch.testing.assert_close(outcome.reconstruction.images, gridded)


def test_a_field_that_is_better_than_gridding_is_shown(scan):
    """It begins where a former fit ended, and has no time for more."""
    former = run_method("subspace_inr", scan.kspace, scan.maps, steps=80)
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    outcome = climb_down(kspace, maps, "subspace_inr", {"learning_rate": 1e-12}, impatient(former.state))
    assert (outcome.method, outcome.comment) == ("subspace_inr", "")
    assert outcome.reconstruction.details["stopped"] == "deadline"
    gridded = run_method("gridding", scan.kspace, scan.maps).images
    assert scan.psnr(outcome.reconstruction.images) > scan.psnr(gridded)


@pytest.mark.parametrize(
    ("errors", "n_frames", "means"),
    [
        ([(1.0, 0.6)] * 8, 1, (1.0, 0.6)),
        ([(0.5, 0.7)] * 8, 1, (0.5, 0.7)),
        ([(0.62, 0.6)] * 8, 8, (0.62, 0.6)),
        ([(0.6, 0.6), (0.9, 0.6), (0.1, 0.6)], 2, (0.75, 0.6)),
    ],
)
def test_no_more_frames_are_rendered_than_it_takes(errors, n_frames, means):
    left = iter(errors)
    assert _mean_errors(left) == pytest.approx(means)
    assert len(list(left)) == len(errors) - n_frames


def test_few_steps_are_enough_where_they_were_all_that_was_asked_for(scan):
    assert run_method("nik", scan.kspace, scan.maps, steps=1).details["stopped"] == "step limit"


def test_the_field_is_saved_to_be_gone_on_from(scan, tmp_path):
    path = tmp_path / "field.safetensors"
    with pytest.raises(DeadlineError, match="max_recon_seconds"):
        run_method("nik", scan.kspace, scan.maps, budget=Budget(0.0), checkpoint=str(path))
    assert load(path).fitted.net is not None
