"""Steps that become CUDA graphs: no wait for the device, and nothing from the host. Shown without a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import python_recon
from python_recon.config import preset_names
from python_recon.fitting import capture
from python_recon.fitting.descent import adam, gradient_step
from python_recon.losses.kernels import SQUARE, Kernel
from python_recon.methods.registry import resolve
from tests.fitting.graph_rules import Watched, as_on_cuda
from tests.numerics import run_method, scan_heart

FITS = [name for name in preset_names() if "compiled" in resolve(name, {})[0].options.model_fields]
NOT_CAPTURED = {"st_inr_paper"}
"""Its loss has eigenvalues, for which the host waits."""
FEW = {
    "steps": 16,
    "distillation_steps": 4,
    "calibration_steps": 4,
    "refinement_steps": 4,
    "batch": 64,
    "neighbourhoods": 16,
    "pisco_sets": 2,
    "pisco_weight": 0.1,
    "pisco_from": 0.5,
    "width": 16,
    "layers": 2,
    "levels": 3,
    "log2_table_size": 8,
    "n_features": 16,
}


@pytest.fixture
def watched(monkeypatch):
    """All steps that would be captured on a GPU, and what rules they broke."""
    steps, broken = [], []

    def watch(step, optimiser):
        steps.append(Watched(step, as_on_cuda(optimiser), broken))
        return steps[-1]

    monkeypatch.setitem(capture._FORMS, "cpu", watch)
    monkeypatch.setattr(capture, "_LEAST_STEPS", 1)
    return steps, broken


@pytest.mark.parametrize("name", FITS)
def test_captured_steps_keep_the_rules(name, watched):
    """Those of every method that fits, whichever they are: the presets tell."""
    steps, broken = watched
    fields = resolve(name, {})[0].options.model_fields
    scan = scan_heart(12, 8, 2, (32, 32))
    run_method(name, scan.kspace, scan.maps, **{key: n for key, n in FEW.items() if key in fields})
    assert broken == []
    assert bool(steps) != (name in NOT_CAPTURED)
    assert all(step.n_calls > 2 for step in steps), "memory of the host is told from the third call on"


@pytest.mark.parametrize(
    ("name", "weight", "n_graphs"), [("nik", 0.0, 1), ("pisco", 0.1, 3), ("pisco_paper", 0.1, 2)]
)
def test_the_steps_of_pisco_are_graphs_too(name, weight, n_graphs, watched):
    """One for the data alone, and one for each of the kernels that take turns, or for PISCO's own step."""
    fields = resolve(name, {})[0].options.model_fields
    scan = scan_heart(12, 8, 2, (32, 32))
    wanted = FEW | {"start": "none", "pisco_weight": weight}
    run_method(name, scan.kspace, scan.maps, **{key: n for key, n in wanted.items() if key in fields})
    assert len(watched[0]) == n_graphs


class Small:
    """A step that keeps the rules, and places for faults."""

    def __init__(self, device="cpu"):
        self.device = torch.device(device)
        self.weight = torch.nn.Parameter(torch.ones(3, 3, device=device))
        self.k = torch.rand(5, 2, device=device)
        self.kernel = Kernel(SQUARE).to(device)
        self.spacing = torch.ones(2, device=device)

    def loss(self):
        near = self.kernel(self.k, self.spacing)
        return (near.sum() * self.weight).square().sum()


def faulty_iconik(small):
    """As ICoNIK had it: a kernel is built in every step."""
    return Kernel(SQUARE).to(small.device)(small.k, small.spacing).sum() * small.weight.sum()


FAULTS = {
    "a value is read": lambda small: small.loss() * float(small.weight.detach().sum()),
    "a value decides": lambda small: small.loss() * (2.0 if (small.weight.detach() > 0).all() else 1.0),
    "a kernel is built": faulty_iconik,
    "numbers": lambda small: small.loss() * torch.tensor([1.0, 2.0], device=small.device).sum(),
    "an array": lambda small: small.loss() * torch.from_numpy(np.ones(3, np.float32)).sum(),
    "a mask": lambda small: small.loss() + small.weight[small.weight.detach() > 0].sum(),
    "places that are found": lambda small: small.loss() * small.weight.detach().nonzero().sum(),
    "a checked solution": lambda small: (
        small.loss()
        + torch.linalg.cholesky(small.weight.detach() + 3 * torch.eye(3, device=small.device)).sum()
    ),
    "chance": lambda small: small.loss() * torch.rand((), device=small.device),
}


def graph_adam(*arguments):
    return as_on_cuda(adam(*arguments))


def broken_rules(loss_of, optimiser_of=graph_adam, device="cpu"):
    """What three steps along the gradient of a loss break."""
    small, broken = Small(device), []
    optimiser = optimiser_of([small.weight], 0.1, small.device)

    def backward():
        loss = loss_of(small)
        loss.backward()
        return loss.detach()

    step = Watched(gradient_step(optimiser, backward), optimiser, broken)
    for _ in range(3):
        step()
    return broken


def test_a_step_without_faults_breaks_none():
    assert broken_rules(Small.loss) == []


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_caught(name):
    assert broken_rules(FAULTS[name])


def test_an_optimiser_that_counts_on_the_host_is_caught():
    """The usual form of Adam: its number of steps is read at every step."""
    assert any("waits for a value" in each for each in broken_rules(Small.loss, adam))


def test_all_optimisers_are_made_in_one_place():
    """Where their form on CUDA is seen to."""
    folder = Path(python_recon.__file__).parent
    makers = [path.stem for path in folder.rglob("*.py") if re.search(r"optim\.\w+\(", path.read_text())]
    assert makers == ["descent"]


class NoOptimiser:
    """Loss and gradient alone, for devices on which nothing has a value."""

    param_groups = ()

    def zero_grad(self, set_to_none):
        pass

    def step(self):
        pass


COPIES = {
    "to the device": lambda small: small.loss() * torch.ones(3).to(small.device).sum(),
    "into memory of the device": lambda small: (
        small.loss() * torch.empty_like(small.weight).copy_(torch.ones(3, 3)).sum()
    ),
    "a number of the host": lambda small: small.loss() * torch.ones(()),
    "a kernel is built": faulty_iconik,
}


def test_on_a_device_of_its_own_a_step_without_faults_breaks_none():
    assert broken_rules(Small.loss, lambda *_: NoOptimiser(), "meta") == []


@pytest.mark.parametrize("name", COPIES)
def test_copies_from_the_host_are_caught(name):
    """The meta device is not the host: what goes to it is a copy, as to a GPU."""
    assert broken_rules(COPIES[name], lambda *_: NoOptimiser(), "meta")
