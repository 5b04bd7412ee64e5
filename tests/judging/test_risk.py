"""The expected error: unbiased, and able to rank and to mix images as the truth would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import DataError
from python_recon.judging.risk import Risk
from python_recon.operators.sense import Sense, density_of
from tests.numerics import complex_noise, scan_heart

STD = 0.5


@pytest.fixture(scope="module")
def clean():
    """Samples without noise, 3 frames of 9 spokes, matrix 24 x 20."""
    scan = scan_heart(3, 9, 3, (24, 20), noise=0.0)
    return replace(scan.kspace, noise=NoiseLevel(STD, is_measured=True)).to_torch(), scan.maps.to_torch()


def with_noise(kspace, seed):
    noise = STD * torch.as_tensor(complex_noise(tuple(kspace.data.shape), seed))
    return replace(kspace, data=kspace.data + noise)


def damped(kspace, maps, factor):
    """A method: gridded images, damped."""
    return factor * Sense(kspace, maps).adjoint(kspace.data * density_of(kspace)[:, None])


def true_error(images, kspace, maps):
    """Relative to the energy of the noise."""
    missing = Sense(kspace, maps, 1e-5).forward(images) - kspace.data
    density = density_of(kspace)[:, None]
    return float((density * missing.abs() ** 2).sum() / (2 * STD**2 * kspace.n_coils * density.sum()))


@pytest.mark.parametrize("factor", [0.3, 1.0])
def test_it_is_the_true_error_in_the_mean_over_the_noise(clean, factor):
    kspace, maps = clean
    expected, true = [], []
    for seed in range(24):
        noisy = with_noise(kspace, seed)
        risk, images = Risk(noisy, maps, seed), damped(noisy, maps, factor)
        expected.append(risk.of(images, damped(risk.disturbed, maps, factor)).of_noise)
        true.append(true_error(images, kspace, maps))
    assert np.mean(expected) == pytest.approx(np.mean(true), abs=3 * np.std(expected) / np.sqrt(24))
    assert np.mean(expected) == pytest.approx(np.mean(true), rel=0.15)


def test_it_ranks_as_the_truth_does(clean):
    kspace, maps = clean
    noisy = with_noise(kspace, 1)
    risk = Risk(noisy, maps)
    factors = (0.1, 0.4, 0.7, 1.0)
    expected = [risk.of(damped(noisy, maps, f), damped(risk.disturbed, maps, f)).of_noise for f in factors]
    true = [true_error(damped(noisy, maps, f), kspace, maps) for f in factors]
    assert np.argsort(expected).tolist() == np.argsort(true).tolist()


def test_the_relative_error_is_that_of_the_images(clean):
    kspace, maps = clean
    noisy = with_noise(kspace, 2)
    risk, images = Risk(noisy, maps), damped(noisy, maps, 0.3)
    energy = true_error(images, replace(kspace, data=torch.zeros_like(kspace.data)), maps)
    found = risk.of(images, damped(risk.disturbed, maps, 0.3))
    assert found.relative == pytest.approx(np.sqrt(found.of_noise / energy), rel=1e-3)
    assert found.is_measured
    assert str(found) == f"expected error {100 * found.relative:.1f} %"


@pytest.mark.parametrize("wanted", [0.0, 0.35, 1.0])
def test_the_share_leads_to_the_least_error(clean, wanted):
    kspace, maps = clean
    risk = Risk(with_noise(kspace, 3), maps)
    # Images without noise, of which the start lies on one side of the truth and the end on the other.
    image = damped(kspace, maps, 1.0)
    predicted = Sense(kspace, maps, 1e-5).forward(image)
    exact = Risk(replace(kspace, data=predicted), maps)
    start = image - (wanted * image if wanted < 1 else 2 * image)
    end = start + image if wanted < 1 else image - 0.5 * image
    share = exact.share((start, start), (end, end))
    assert share == pytest.approx(wanted, abs=0.01)
    assert 0 <= risk.share((start, start), (end, end)) <= 1


def test_images_that_are_noise_get_no_share(clean):
    kspace, maps = clean
    noisy = with_noise(kspace, 4)
    risk = Risk(noisy, maps)
    start = [damped(data, maps, 0.5) for data in (kspace, kspace)]
    # The noise of the data, gridded: it explains the data, and must not be believed.
    end = [images + damped(replace(data, data=data.data - kspace.data), maps, 1.0)
           for images, data in zip(start, (noisy, risk.disturbed), strict=True)]  # fmt: skip
    assert risk.share(tuple(start), tuple(end)) < 0.1


def test_the_disturbance_is_the_same_at_every_call_and_small(clean):
    kspace, maps = clean
    risk = Risk(kspace, maps)
    change = risk.disturbed.data - kspace.data
    assert torch.equal(change, risk.disturbed.data - kspace.data)
    assert change.abs().square().mean().sqrt() == pytest.approx(0.1 * STD * np.sqrt(2), rel=0.05)
    assert not torch.equal(change, Risk(kspace, maps, seed=1).disturbed.data - kspace.data)


def test_the_map_adds_up_to_the_part_of_the_noise(clean):
    kspace, maps = clean
    risk, images = Risk(kspace, maps), damped(kspace, maps, 1.0)
    found = risk.map(images, damped(risk.disturbed, maps, 1.0))
    assert found.shape == kspace.matrix
    assert 0 < float(found.sum()) < 2.2  # 2: all of the noise comes through


def test_without_noise_level_it_is_refused(clean):
    kspace, maps = clean
    with pytest.raises(DataError, match="with_noise"):
        Risk(replace(kspace, noise=None), maps)
