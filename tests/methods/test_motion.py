"""Subspace series averaged along motion, as far as the expected error asks for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import ConfigError
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from tests.numerics import as_numpy, relative_error, run_method, scan_heart

NOISE = 0.03
WEIGHTS = {"regularisation": 1.5, "spatial_regularisation": 0.4}
"""Chosen ones, so that no time goes into the choice."""


def known(scan, noise=NOISE):
    return replace(scan, kspace=replace(scan.kspace, noise=NoiseLevel(noise, is_measured=True)))


@pytest.fixture(scope="module")
def scan():
    """A heart that beats 5 times in the scan, 5 spokes a frame."""
    return known(scan_heart(24, 5, 4, (48, 48), NOISE, 0.008, heart_rate_bpm=300.0))


@pytest.fixture(scope="module")
def averaged(scan):
    return motion(scan)


@pytest.fixture(scope="module")
def small():
    return known(scan_heart(6, 8, 4, (32, 32)))


def motion(scan, device="cpu", budget=None, **options):
    return run_method("motion", scan.kspace, scan.maps, device, budget, **{**WEIGHTS, **options})


def subspace(scan, **options):
    return run_method("subspace", scan.kspace, scan.maps, **{**WEIGHTS, **options})


def test_a_beating_heart_gains(scan, averaged):
    result = averaged
    assert scan.psnr(result.images) > scan.psnr(subspace(scan).images) + 0.3
    assert result.details["shares"][0] > 0.3
    assert result.comment.startswith("subspace + ")
    assert result.comment.split(" + ")[1].startswith(f"{100 * result.details['shares'][0]:.0f} %")


def test_the_expected_error_is_that_against_the_truth(scan, averaged):
    result = averaged
    error = relative_error(as_numpy(result.images), scan.truth)
    assert result.expected.relative == pytest.approx(error, rel=0.35)
    assert result.expected.is_measured


@pytest.mark.cuda
def test_cuda_gives_the_images_of_the_cpu(scan, averaged):
    result = motion(scan, "cuda")
    assert result.images.is_cuda
    assert relative_error(result.images, averaged.images) < 1e-2


def test_where_no_share_is_enough_the_images_are_those_of_subspace(small, monkeypatch):
    """And they say so."""
    monkeypatch.setattr("python_recon.methods.motion._LEAST_SHARE", 1.1)
    result = motion(small)
    assert result.details["shares"] == []
    assert "motion has no share by the risk: the images are those of subspace" in result.comment
    torch.testing.assert_close(result.images, subspace(small).images)


def test_one_frame_is_that_of_subspace(small):
    frame = replace(small, kspace=small.kspace.frames(slice(2, 3)))
    result = motion(frame)
    torch.testing.assert_close(result.images, subspace(frame).images)
    assert result.comment == "one frame has no neighbours: the images are those of subspace"


def test_two_frames(small):
    pair = replace(small, kspace=small.kspace.frames(slice(2, 4)))
    images = as_numpy(motion(pair).images)
    assert images.shape == (2, 32, 32)
    assert relative_error(images, small.truth[2:4]) < 1.05 * relative_error(
        as_numpy(subspace(pair).images), small.truth[2:4]
    )


def test_frames_that_jump_are_told_and_left(small):
    """Every frame shows another place: no neighbour can be moved onto it."""
    kspace = small.kspace
    kx, ky = kspace.trajectory[..., 0], kspace.trajectory[..., 1]
    shifts = np.array([[0, 0], [0.3, 0], [0, 0.3], [-0.3, 0], [0, -0.3], [0.3, 0.3]])
    cycles = kx * shifts[:, 0, None, None] + ky * shifts[:, 1, None, None]
    data = kspace.data * np.exp(-2j * np.pi * cycles)[:, None]
    jumping = replace(small, kspace=replace(kspace, data=data.astype(np.complex64)))
    result = motion(jumping, regularisation=0.1, components=6)
    n_lost = result.details["frames_not_followed"]
    assert n_lost >= 4
    assert (
        f"{n_lost} of 6 frames moved more than could be followed: they are those of subspace"
        in result.comment
    )


@pytest.mark.parametrize("case", ["zero", "noiseless"])
def test_nothing_to_average(small, case):
    factor, noise = {"zero": (0.0, NOISE), "noiseless": (1.0, 0.0)}[case]
    scan = known(replace(small, kspace=replace(small.kspace, data=factor * small.kspace.data)), noise)
    result = motion(scan)
    torch.testing.assert_close(result.images, subspace(scan).images)
    assert result.comment.endswith("the images are those of subspace")


def test_an_empty_frame_is_bridged(small):
    mask = np.ones((6, 8), bool)
    mask[3] = False
    kspace = small.kspace
    kspace = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        density=kspace.density * mask[..., None],
        spoke_mask=mask,
    )
    images = as_numpy(motion(replace(small, kspace=kspace)).images)
    assert relative_error(np.abs(images[3]), np.abs(images[[2, 4]]).mean(0)) < 0.05


@pytest.mark.parametrize("scale", [1e-7, 1e5, 1j])
def test_images_scale_with_the_data(small, scale):
    expected = motion(small).images
    data = (scale * small.kspace.data).astype(np.complex64)
    scaled = known(replace(small, kspace=replace(small.kspace, data=data)), abs(scale) * NOISE)
    assert relative_error(motion(scaled).images / scale, expected) < 5e-3


def test_no_time_gives_the_start(small):
    result = motion(small, budget=Budget(0.0))
    assert result.comment == "no time was left for motion: the images are those of subspace"
    assert small.psnr(result.images) > 15


def test_time_that_runs_out_amid_a_round_leaves_those_before(small):
    """The second round is given up; the first one stands."""
    budget: Budget

    def report(stage, done):
        if stage == "motion" and done > 0.5:
            budget.cancel()

    budget = Budget(report=report)
    result = motion(small, budget=budget)
    torch.testing.assert_close(result.images, motion(small, rounds=1).images)


def test_the_data_are_not_changed(small):
    kspace = small.kspace.to_torch()
    before = kspace.data.clone(), kspace.density.clone()
    run_method("motion", kspace, small.maps, **WEIGHTS)
    assert torch.equal(kspace.data, before[0])
    assert torch.equal(kspace.density, before[1])


@pytest.mark.parametrize(
    "options",
    [
        {"neighbours": 0},
        {"neighbours": 65},
        {"closeness": 0},
        {"rounds": 11},
        {"similarity": -1},
        {"flow_radius": 0},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=f"options of method 'motion'.*{next(iter(options))}"):
        resolve("motion", options)
