"""What all classical methods have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ConfigError
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from tests.numerics import (
    as_numpy,
    budget_of_steps,
    complex_noise,
    relative_error,
    run_method,
    scaled,
    scan_heart,
)

METHODS = ["gridding", "cg_sense", "grasp", "subspace", "xd_grasp"]
ITERATIVE = METHODS[1:]
TEMPORAL = METHODS[2:]

LEAST_PSNR = {"gridding": 19.2, "cg_sense": 24.0, "grasp": 35.2, "subspace": 35.2, "xd_grasp": 35.2}
"""About half a dB below what was measured: 19.76, 24.54, 35.80, 35.80, 35.80."""


@pytest.fixture(scope="module")
def quality(heart):
    """PSNR of every method on the CPU."""
    return {name: heart.psnr(run_method(name, heart.kspace, heart.maps).images) for name in METHODS}


@pytest.mark.parametrize("name", METHODS)
def test_images_are_near_the_truth(quality, name):
    assert quality[name] > LEAST_PSNR[name]


def test_each_step_of_sophistication_pays(quality):
    assert quality["cg_sense"] > quality["gridding"] + 4
    assert quality["grasp"] > quality["cg_sense"] + 10
    assert quality["subspace"] > quality["grasp"] + 1


@pytest.mark.cuda
@pytest.mark.parametrize("name", METHODS)
def test_cuda_gives_the_images_of_the_cpu(heart, name):
    result = run_method(name, heart.kspace, heart.maps, "cuda")
    assert result.images.is_cuda
    assert relative_error(result.images, run_method(name, heart.kspace, heart.maps).images) < 5e-3


@pytest.mark.parametrize("name", METHODS)
def test_images_are_complex64_on_the_device_of_the_data(small_heart, device, name):
    kspace = small_heart.kspace.to_torch(device)
    copies = kspace.data.clone(), kspace.trajectory.clone(), kspace.density.clone()
    images = run_method(name, kspace, small_heart.maps, device).images
    assert images.dtype == torch.complex64
    assert images.device.type == device
    assert tuple(images.shape) == (6, 32, 32)
    assert torch.isfinite(torch.view_as_real(images)).all()
    for now, before in zip((kspace.data, kspace.trajectory, kspace.density), copies, strict=True):
        assert torch.equal(now, before), "methods of the ladder share the data"


@pytest.mark.parametrize("name", METHODS)
def test_one_frame_is_a_series_too(small_heart, device, name):
    frame = small_heart.kspace.frames(slice(2, 3))
    images = run_method(name, frame, small_heart.maps, device).images
    assert tuple(images.shape) == (1, 32, 32)
    if name in TEMPORAL:
        # Nothing to vary: it is SENSE without regularisation, better than gridding.
        truth = np.abs(small_heart.truth[2])
        error = relative_error(images[0].abs(), truth)
        assert error < relative_error(run_method("gridding", frame, small_heart.maps).images[0].abs(), truth)


@pytest.mark.parametrize("name", METHODS)
def test_one_coil(name):
    scan = scan_heart(6, 21, 1, (32, 32))
    maps = CoilMaps(np.ones((1, 32, 32), np.complex64), "none")
    images = as_numpy(run_method(name, scan.kspace, maps).images)
    assert np.isfinite(images).all()
    if name in TEMPORAL:
        assert scan.psnr(images) > scan.psnr(as_numpy(run_method("gridding", scan.kspace, maps).images)) + 3


@pytest.mark.parametrize("name", METHODS)
def test_padding_does_not_show(small_heart, name):
    kspace = small_heart.kspace
    expected = run_method(name, kspace, small_heart.maps).images
    result = run_method(name, with_padding(kspace, 3), small_heart.maps).images
    assert relative_error(result, expected) < 2e-3


def with_padding(kspace: KSpace, n_padded: int) -> KSpace:
    """As ``stack_frames`` pads frames to those with more spokes."""

    def pad(array, axis):
        width = [(0, 0)] * array.ndim
        width[axis] = (0, n_padded)
        return np.pad(array, width)

    return replace(
        kspace,
        data=pad(kspace.data, 2),
        trajectory=pad(kspace.trajectory, 1),
        density=pad(kspace.density, 1),
        spoke_mask=pad(np.ones((kspace.n_frames, kspace.n_spokes), bool), 1),
        spoke_times_s=pad(kspace.spoke_times_s, 1),
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_frame_without_spokes_is_bridged(small_heart, name):
    """Sorting by phase may leave bins empty: no NaN, and temporal methods fill them in."""
    mask = np.ones((6, 8), bool)
    mask[3] = False
    kspace = small_heart.kspace
    kspace = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        density=kspace.density * mask[..., None],
        spoke_mask=mask,
    )
    images = as_numpy(run_method(name, kspace, small_heart.maps).images)
    assert np.isfinite(images).all()
    if name in TEMPORAL:
        assert relative_error(np.abs(images[3]), np.abs(images[[2, 4]]).mean(0)) < 0.05
    else:
        assert not images[3].any()


@pytest.mark.parametrize("scale", [1e-7, 1e5, 1j])
@pytest.mark.parametrize("name", METHODS)
def test_images_scale_with_the_data(small_heart, name, scale):
    """Raw data come at any scale and phase, and defaults are to work unseen."""
    kspace = small_heart.kspace
    expected = run_method(name, kspace, small_heart.maps).images
    result = run_method(name, scaled(kspace, scale), small_heart.maps).images / scale
    assert relative_error(result, expected) < 2e-3


@pytest.mark.parametrize("name", METHODS)
def test_time_has_no_direction(small_heart, name):
    kspace = small_heart.kspace
    backwards = replace(
        kspace,
        data=kspace.data[::-1].copy(),
        trajectory=kspace.trajectory[::-1].copy(),
        density=kspace.density[::-1].copy(),
    )
    expected = run_method(name, kspace, small_heart.maps).images
    result = run_method(name, backwards, small_heart.maps).images
    assert relative_error(result.flip(0), expected) < 5e-3


@pytest.mark.parametrize("name", METHODS)
def test_noise_alone_gives_finite_images(small_heart, name):
    kspace = replace(small_heart.kspace, data=complex_noise(small_heart.kspace.data.shape))
    assert np.isfinite(as_numpy(run_method(name, kspace, small_heart.maps).images)).all()


@pytest.mark.parametrize("name", ITERATIVE)
def test_time_that_runs_out_ends_with_what_there_is(small_heart, name):
    result = run_method(name, small_heart.kspace, small_heart.maps, budget=budget_of_steps(3), iterations=50)
    assert 1 <= result.details["iterations"] <= 3
    images = as_numpy(result.images)
    assert np.isfinite(images).all()
    assert small_heart.psnr(images) > 15


@pytest.mark.parametrize("name", METHODS)
def test_no_time_at_all_gives_images_all_the_same(small_heart, name):
    result = run_method(name, small_heart.kspace, small_heart.maps, budget=Budget(0.0))
    assert small_heart.psnr(result.images) > 15
    assert result.details.get("iterations", 1) == 1


@pytest.mark.parametrize("name", ITERATIVE)
def test_progress_goes_from_nothing_to_all(small_heart, name):
    reports = []
    budget = Budget(report=lambda stage, done: reports.append((stage, done)))
    result = run_method(name, small_heart.kspace, small_heart.maps, budget=budget, iterations=4)
    assert result.details["iterations"] == 4
    assert [done for stage, done in reports if stage == name] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", ITERATIVE)
@pytest.mark.parametrize("options", [{"iterations": 0}, {"iterations": 2.5}, {"regularisation": -1.0}])
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ConfigError, match=f"options of method '{name}'.*{next(iter(options))}"):
        resolve(name, options)


@pytest.mark.parametrize("name", METHODS)
def test_options_that_no_method_has_are_refused(name):
    with pytest.raises(ConfigError, match=f"method '{name}' has no option 'regularization'"):
        resolve(name, {"regularization": 1.0})
