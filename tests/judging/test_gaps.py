"""The risk between spokes that leave gaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import DataError
from python_recon.judging.gaps import Gaps, has_gaps
from python_recon.judging.risk import Risk
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from tests.numerics import run_method, scan_heart

NOISE = 0.01
STILL = {"contraction": 0.0, "breathing_amplitude_mm": 0.0, "contrast": 0.0}


def still(n_spokes: int):
    """One frame, matrix 48, 4 coils, of known noise."""
    scan = scan_heart(1, n_spokes, 4, (48, 48), noise=NOISE, **STILL)
    return replace(scan, kspace=replace(scan.kspace, noise=NoiseLevel(NOISE, is_measured=True)))


@pytest.fixture(scope="module")
def few():
    return still(20)


def images_of(scan, kspace, weight):
    method, options = resolve("subspace", {"spatial_regularisation": weight})
    return method.run(kspace, scan.maps.to_torch("cpu"), options, Budget()).images


def test_few_spokes_leave_gaps_and_many_do_not(few):
    assert has_gaps(few.kspace.to_torch())
    assert not has_gaps(scan_heart(12, 13, 2, (48, 48)).kspace.to_torch())


def test_too_few_to_leave_some_out_are_all_kept():
    assert not has_gaps(still(8).kspace.to_torch())


def test_spokes_side_by_side_are_not_left_out_together(few):
    kspace = few.kspace.to_torch()
    along = kspace.trajectory[0, :, -1] - kspace.trajectory[0, :, 0]
    by_angle = (torch.atan2(along[:, 1], along[:, 0]) % torch.pi).argsort()
    parts = torch.stack([part.density[0].amax(-1) == 0 for part in Gaps(kspace, few.maps.to_torch()).without])
    assert parts.sum(0).eq(1).all()
    assert not (parts[:, by_angle[1:]] & parts[:, by_angle[:-1]]).any()


def test_the_weight_is_near_the_best_where_the_samples_alone_mislead(few):
    """At the samples the images that agree with them most seem best; between them smoother ones are."""
    kspace, maps = few.kspace.to_torch(), few.maps.to_torch()
    gaps, risk = Gaps(kspace, maps), Risk(kspace, maps)
    at_samples, everywhere, psnr = {}, {}, {}
    for weight in (0.1, 0.2, 0.4, 0.8):
        images, disturbed = (images_of(few, data, weight) for data in (kspace, risk.disturbed))
        at_samples[weight] = risk.of(images, disturbed).of_noise
        parts = [images_of(few, part, weight) for part in gaps.without]
        everywhere[weight] = gaps.widened(at_samples[weight], parts)
        psnr[weight] = few.psnr(images)
    misled, chosen = (min(errors, key=errors.__getitem__) for errors in (at_samples, everywhere))
    assert psnr[chosen] > psnr[misled] + 0.3


def test_a_choice_sees_the_gaps(few, monkeypatch):
    chosen = run_method("subspace", few.kspace, few.maps)
    monkeypatch.setattr("python_recon.judging.weights.has_gaps", lambda _kspace: False)
    blind = run_method("subspace", few.kspace, few.maps)
    assert chosen.details["spatial_regularisation"] > 1.2 * blind.details["spatial_regularisation"]
    assert few.psnr(chosen.images) > few.psnr(blind.images)


def test_the_noise_must_be_known(few):
    kspace = replace(few.kspace, noise=None).to_torch()
    with pytest.raises(DataError, match="noise"):
        Gaps(kspace, few.maps.to_torch())
