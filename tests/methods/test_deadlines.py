"""Every method stops when it is told to, whatever it is at, and hands over the best it has."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from python_recon.config import preset_names
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.numerics import scan_heart

SLOW = {"nik_paper", "pisco_paper", "pisco_dist_paper", "iconik_paper", "st_inr_paper"} | {
    "zs_ssl_paper",
    "zero_mirid_paper",
}
"""Their single steps are too long for a test; they run through the loops of the others."""
NEEDS_MODEL = {"ssdu", "ssfl"}
"""Are tested where there is one."""
METHODS = sorted(set(preset_names()) - SLOW - NEEDS_MODEL)
WITHOUT_START = {"nik", "iconik", "subspace_inr"}
"""Are gridded where they are stopped before they are better than that."""
ZERO_SHOT = {"zs_ssl", "zero_mirid"}
"""Leave the images of their start, by its name, where they are stopped before they have learned."""
STEPS_AFTERWARDS = 8
"""One of each stage that is still to come, and of those that judge."""


class Impatience:
    """A budget that is cancelled at a report, and counts those after it."""

    def __init__(self, patience: int) -> None:
        self.budget = Budget(report=self.heard)
        self.patience, self.n_reports = patience, 0

    def heard(self, _stage: str, _done: float) -> None:
        self.n_reports += 1
        if self.n_reports >= self.patience:
            self.budget.cancel()


@pytest.fixture(scope="module")
def scan():
    return scan_heart(8, 13, 4, (32, 32))


@pytest.mark.parametrize("patience", [1, 26])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_stops_at_its_next_step(scan, name, patience):
    """Amid its first stage, or a later one where it has any."""
    impatience = Impatience(patience)
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    outcome = climb_down(kspace, maps, name, {}, impatience.budget)
    if name in WITHOUT_START and outcome.method == "gridding":
        assert f"{name} failed: time ran out" in outcome.comment
    elif name in ZERO_SHOT and outcome.method == "subspace":
        assert "these are the images of subspace" in outcome.comment or "time was up" in outcome.comment
    else:
        assert (outcome.method, outcome.comment.count("failed")) == (name, 0)
    assert impatience.n_reports <= patience + STEPS_AFTERWARDS
    assert torch.isfinite(torch.view_as_real(outcome.reconstruction.images)).all()


@pytest.mark.parametrize("name", ["pisco", "st_inr"])
def test_a_fit_that_is_stopped_early_is_no_worse_than_gridding(scan, name):
    """What it has is a subspace reconstruction of few steps, the network's share of it none or small."""
    impatience = Impatience(1)
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    images = climb_down(kspace, maps, name, {}, impatience.budget).reconstruction.images
    gridded = climb_down(kspace, maps, "gridding", {}, Budget()).reconstruction.images
    assert scan.psnr(images) > scan.psnr(gridded)


def test_optimisers_are_loaded_before_the_clock_runs():
    """A method is resolved before the data come; what its first optimiser imports takes seconds."""
    program = (
        "import sys, torch\n"
        "from python_recon.fitting.descent import adam\n"
        "from python_recon.methods.registry import resolve\n"
        "resolve('st_inr', {})\n"
        "known = set(sys.modules)\n"
        "adam([torch.zeros(1, requires_grad=True)], 1e-3, torch.device('cpu'))\n"
        "print(len(set(sys.modules) - known))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20
