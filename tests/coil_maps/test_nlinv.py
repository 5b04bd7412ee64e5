"""The operators of the joint estimate; its accuracy is tested with the other estimators."""

from __future__ import annotations

import torch

from python_recon.coil_maps import nlinv
from python_recon.coil_maps.calibration import calibrate
from python_recon.operators.nufft import Nufft


def test_gram_is_the_weighted_normal_operator(simulate_scan):
    calibration = calibrate(simulate_scan(34).kspace, nlinv.REGION)
    problem = nlinv._Problem(calibration)
    grid = (calibration.width + 12, calibration.width + 12)
    images = torch.randn(2, *grid, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    nufft = Nufft(calibration.trajectory[None], grid, tolerance=1e-6)
    expected = nufft.adjoint(calibration.density * nufft.forward(images[None]))[0]
    difference = torch.linalg.vector_norm(problem._gram(images) - expected)
    assert difference < 2e-3 * torch.linalg.vector_norm(expected)


def test_newton_steps_end_near_the_data(simulate_scan):
    """The first steps may overshoot, the later ones may not."""
    problem = nlinv._Problem(calibrate(simulate_scan(34).kspace, nlinv.REGION))
    state, misfits = problem.start(), []
    for step in range(8):
        state = problem.newton_step(state, 2.0**-step)
        image, coefficients = problem.split(state)
        model = problem._gram(image * problem.basis.evaluate(coefficients, tuple(image.shape)))
        misfits.append(float(torch.linalg.vector_norm(model - problem._data)))
    assert misfits[3:] == sorted(misfits[3:], reverse=True)
    assert misfits[-1] < 0.1 * float(torch.linalg.vector_norm(problem._data))
