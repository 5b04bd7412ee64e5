"""Iterative SENSE, frame by frame.

Minimises ``|W^1/2 (F S x - y)|^2 + regularisation |x|^2`` for every frame by conjugate gradients on the
normal equations, started from zero, with the Toeplitz form of the normal operator. Stopping early
regularises as well. Pruessmann et al., doi:10.1002/mrm.1241; the weights are those of ``data_weights``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.methods.bounds import Iterations
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.sense_problem import SenseProblem
from python_recon.operators.toeplitz import SenseGram
from python_recon.resources.schedule import Budget, Steps, silent
from python_recon.solvers.cg import conjugate_gradient


class CgSenseOptions(Section):
    """Options of ``cg_sense``."""

    iterations: Iterations = 10
    """Conjugate-gradient iterations."""
    regularisation: float = Field(0.05, ge=0, le=1e6)
    """Weight of |x|^2; the normal operator has eigenvalues of up to about 1."""


def run(kspace: KSpace, maps: CoilMaps, options: CgSenseOptions, budget: Budget) -> Reconstruction:
    """Images of every frame; stops at the deadline with what it has."""
    steps = Steps(budget, "cg_sense", options.iterations)
    images = _solve(kspace, maps, options, steps)

    def again(data: KSpace, its_maps: CoilMaps) -> torch.Tensor:
        return _solve(data, its_maps, options, Steps(replace(budget, report=silent), "cg_sense", steps.done))

    return Reconstruction(images, {"iterations": steps.done}, again=again)


def _solve(kspace: KSpace, maps: CoilMaps, options: CgSenseOptions, steps: Steps) -> torch.Tensor:
    problem = SenseProblem.from_kspace(kspace, maps)
    gram = SenseGram(problem.kernels, problem.maps)
    return conjugate_gradient(
        lambda x: gram(x) + options.regularisation * x,
        problem.right_side,
        steps.planned,
        after_step=steps.is_last,
    )


METHOD = Method(run, CgSenseOptions)
