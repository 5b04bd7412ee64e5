"""GRASP: golden-angle radial SENSE with temporal total variation.

Minimises ``|W^1/2 (F S x - y)|^2 / 2 + lambda sum_t |x[t+1] - x[t]|`` over the whole series by accelerated
proximal gradient, from the time average. Feng et al., doi:10.1002/mrm.24980. Departures: the weights are
those of ``data_weights`` (the paper weighs by the full density compensation), the solver is not nonlinear
conjugate gradients, and lambda is given in units of the noise, so that one default serves all scans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.judging.weights import Weight, number, tuned
from python_recon.methods.bounds import Iterations
from python_recon.methods.registry import Method, Reconstruction
from python_recon.operators.differences import TotalVariation, neighbour_differences
from python_recon.operators.sense_problem import SenseProblem, time_average
from python_recon.operators.toeplitz import SenseGram
from python_recon.resources.schedule import Budget, Steps, silent
from python_recon.solvers.fista import accelerated_proximal_gradient

FIRST = {"regularisation": 4.0}
"""Where the search for the weight begins, and what is taken where there is no time for one."""


class GraspOptions(Section):
    """Options of ``grasp``."""

    iterations: Iterations = 12
    """Gradient steps."""
    regularisation: Weight = 4.0
    """lambda in units of the noise of the data term's gradient; auto: that of least risk, in seven times the
    time."""
    is_periodic: bool = False
    """Whether the last frame is followed by the first; where the heart makes the frames, it always is."""


def run(kspace: KSpace, maps: CoilMaps, options: GraspOptions, budget: Budget) -> Reconstruction:
    """The series; stops at the deadline with what it has."""
    is_periodic = options.is_periodic or kspace.is_periodic
    differences = neighbour_differences(kspace.n_frames, is_periodic).to(kspace.data.device)
    quiet = replace(budget, report=silent)

    def prepare(data: KSpace, its_maps: CoilMaps) -> Callable[[GraspOptions], torch.Tensor]:
        def images_of(tried: GraspOptions) -> torch.Tensor:
            trial = Steps(quiet, "grasp", tried.iterations)
            return minimise_variation(data, its_maps, differences, number(tried.regularisation), trial)

        return images_of

    chosen = tuned(prepare, kspace, maps, options, FIRST, budget)
    steps = Steps(budget, "grasp", chosen.iterations)
    images = minimise_variation(kspace, maps, differences, number(chosen.regularisation), steps)
    details = {"iterations": steps.done, "regularisation": chosen.regularisation}
    return Reconstruction(images, details, again=lambda data, its_maps: prepare(data, its_maps)(chosen))


def minimise_variation(
    kspace: KSpace, maps: CoilMaps, differences: torch.Tensor, regularisation: float, steps: Steps
) -> torch.Tensor:
    """SENSE of all frames (frame, y, x) with the variation along given differences (difference, frame)."""
    problem = SenseProblem.from_kspace(kspace, maps)
    gram = SenseGram(problem.kernels, problem.maps)
    average = time_average(kspace, maps)
    variation = TotalVariation(differences)
    weight = regularisation * problem.noise
    return accelerated_proximal_gradient(
        gram,
        problem.right_side,
        lambda series, step: variation.prox(series, step * weight),
        average.expand_as(problem.right_side).contiguous(),
        1 / gram.norm(),
        steps.planned,
        steps.is_last,
    )


METHOD = Method(run, GraspOptions)
