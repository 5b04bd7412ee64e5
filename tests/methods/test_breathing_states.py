"""The states of the breath, rendered apart from one fit of a free-breathing scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.spokes import frame_times
from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from python_recon.fields.breathing import BreathingBasis
from tests.numerics import as_numpy, relative_error, run_method, scan_heart

MATRIX = (40, 40)
LIVER = slice(10, 13)
"""Columns through the dome of the liver, a fifth of the field of view to the left."""


@pytest.fixture(scope="module")
def scan():
    """50 frames of 13 spokes in 10.4 s, two and a half breaths of 12 mm."""
    scan = scan_heart(50, 13, 4, MATRIX, spacing_s=0.016, truth_every=50, breathing_amplitude_mm=12.0)
    return replace(scan, maps=estimate(scan.kspace, CoilConfig()))


@pytest.fixture(scope="module")
def ends(scan):
    """(2, y, x) magnitude of the truth at the moments of the highest and the lowest liver, that is at the end
    of expiration and of inspiration."""
    series = np.abs(scan.phantom.reference(scan.kspace.times_s, MATRIX))
    heights = np.array([height(image) for image in series])
    return series[[heights.argmin(), heights.argmax()]]


@pytest.fixture(scope="module")
def states(scan):
    """(2, y, x) magnitude of the mean image with the breath held at either end, the higher liver first."""
    few = {"distillation_steps": 40, "steps": 40}
    fitted = run_method("st_inr", scan.kspace, scan.maps, **few).state
    times = frame_times(scan.kspace)[::5]
    found = np.stack([magnitudes(fitted.at_breath(position), times).mean(0) for position in (0.0, 1.0)])
    return found[np.argsort([height(image) for image in found])]


def magnitudes(fitted, times):
    return np.abs(as_numpy(torch.cat(list(fitted.render(times)))))


def height(image):
    """Row, with its fraction, at which the dome of the liver rises out of the lung, from above."""
    profile = image[16:32, LIVER].mean(1)
    level = 0.5 * profile[10:].mean()
    first = int((profile > level).argmax())
    return 16 + first - (profile[first] - level) / (profile[first] - profile[first - 1])


def test_the_liver_moves_from_state_to_state_as_in_truth(ends, states):
    true, found = ([height(image) for image in images] for images in (ends, states))
    assert true[1] - true[0] > 1.2, "12 mm are 1.6 pixels"
    assert found[1] - found[0] == pytest.approx(true[1] - true[0], abs=0.5)
    np.testing.assert_allclose(found, true, atol=0.5)


def test_each_state_is_like_its_truth_and_not_like_the_other(ends, states):
    errors = np.array([[relative_error(scaled(state, end), end) for end in ends] for state in states])
    assert (np.diag(errors) < 0.75 * np.diag(errors[::-1])).all()


def scaled(image, truth):
    return image * (image * truth).sum() / (image**2).sum()


def test_fits_of_kspace_know_the_breath_too(scan):
    fitted = run_method("nik", scan.kspace, scan.maps, steps=2, width=16, n_features=32, batch=64).state
    assert isinstance(fitted.net.temporal, BreathingBasis)
    assert fitted.at_breath(0.5).net.temporal.held == 0.5


def test_short_scans_do_not(small_heart):
    fitted = run_method("nik", small_heart.kspace, small_heart.maps, steps=2, width=16, n_features=32).state
    assert not isinstance(fitted.net.temporal, BreathingBasis)
