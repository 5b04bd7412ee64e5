from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import ConfigError
from python_recon.methods.registry import resolve
from python_recon.networks.residual import ResidualCnn
from python_recon.resources.schedule import Budget
from tests.numerics import as_numpy, complex_noise, relative_error, run_method, scan_heart

NOISE = 0.1
FEW = {"steps": 30, "learning_rate": 1e-2, "channels": 8, "draws": 2, "judges": 1}


def known_noise(scan, std=NOISE):
    return replace(scan, kspace=replace(scan.kspace, noise=NoiseLevel(std, is_measured=True)))


@pytest.fixture(scope="module")
def scan():
    """8 frames of 5 spokes, matrix 40, 4 coils, much noise."""
    return known_noise(scan_heart(8, 5, 4, (40, 40), noise=NOISE))


@pytest.fixture(scope="module")
def small():
    return known_noise(scan_heart(4, 8, 3, (32, 32), noise=NOISE))


@pytest.fixture(scope="module")
def improved(scan):
    return run_method("zs_ssl", scan.kspace, scan.maps, channels=16, steps=80)


@pytest.fixture(scope="module")
def start(scan):
    return run_method("subspace", scan.kspace, scan.maps)


def test_images_are_better_than_their_start(scan, start, improved):
    assert scan.psnr(improved.images) > scan.psnr(start.images) + 0.1


def test_the_images_say_how_much_of_them_is_the_network(improved):
    (share,) = improved.details["shares"]
    assert 0.2 < share <= 1
    assert improved.comment == f"subspace and {100 * share:.0f} % of what a network changes"


def test_it_learns(improved):
    """The pairs that are kept to judge by come nearer to each other's object."""
    errors = improved.details["held_out"]
    assert errors[-1] < errors[0] < 1.05


def test_the_expected_error_is_near_the_true_one(scan, improved):
    truth, images = np.abs(scan.truth), np.abs(as_numpy(improved.images))
    assert improved.expected.relative == pytest.approx(relative_error(images, truth), rel=0.4)


def test_a_seed_gives_the_same_images(small):
    one, same, other = (
        run_method("zs_ssl", small.kspace, small.maps, **FEW, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(one.images, same.images)
    assert other.details["losses"] != one.details["losses"]


@pytest.mark.parametrize(("scale", "tolerance"), [(2.0**20, 1e-6), (1e-7, 0.03), (1e5, 0.03)])
def test_images_scale_with_the_data(small, scale, tolerance):
    """A power of two changes no digit; what other factors round off, the fit makes larger."""
    expected = run_method("zs_ssl", small.kspace, small.maps, **FEW).images
    kspace = replace(
        small.kspace,
        data=(scale * small.kspace.data).astype(np.complex64),
        noise=NoiseLevel(scale * NOISE, is_measured=True),
    )
    result = run_method("zs_ssl", kspace, small.maps, **FEW).images
    assert relative_error(result / scale, expected) < tolerance


@pytest.mark.parametrize("n_frames", [1, 2])
def test_few_frames(small, n_frames):
    kspace = small.kspace.frames(slice(0, n_frames))
    result = run_method("zs_ssl", kspace, small.maps, **FEW)
    assert tuple(result.images.shape) == (n_frames, 32, 32)
    error = relative_error(result.images.abs(), np.abs(small.truth[:n_frames]))
    start = run_method("subspace", kspace, small.maps).images
    assert error < 1.02 * relative_error(start.abs(), np.abs(small.truth[:n_frames]))


def test_data_without_noise_leave_nothing_to_learn(small):
    result = run_method("zs_ssl", known_noise(small, 0.0).kspace, small.maps, **FEW)
    assert (
        result.comment
        == "the data hold no noise: nothing is left for a network: the images are those of subspace"
    )
    start = run_method("subspace", known_noise(small, 0.0).kspace, small.maps).images
    assert relative_error(result.images, start) < 1e-6


def test_noise_alone_gives_finite_images(small):
    kspace = replace(small.kspace, data=(NOISE * complex_noise(small.kspace.data.shape)).astype(np.complex64))
    images = as_numpy(run_method("zs_ssl", kspace, small.maps, **FEW).images)
    assert np.isfinite(images).all()


def test_zeros_stay_zeros(small):
    kspace = replace(small.kspace, data=np.zeros_like(small.kspace.data))
    assert not as_numpy(run_method("zs_ssl", kspace, small.maps, **FEW).images).any()


def test_no_time_gives_the_start(small):
    result = run_method("zs_ssl", small.kspace, small.maps, budget=Budget(0.0))
    assert "time was up before a network could be trained: the images are those of subspace" in result.comment
    assert result.made_by == "subspace"
    assert small.psnr(result.images) > 15


def test_a_network_that_does_not_fit_is_narrower(small, monkeypatch):
    forward = ResidualCnn.forward

    def scarce(net, components):
        if net.layers[0].out_channels > 8:
            raise MemoryError
        return forward(net, components)

    monkeypatch.setattr(ResidualCnn, "forward", scarce)
    result = run_method("zs_ssl", small.kspace, small.maps, **{**FEW, "channels": 32})
    assert result.comment.endswith("; channels 8 instead of 32, to fit into memory")


@pytest.mark.parametrize(
    "bad",
    [
        {"mu": 0.0},
        {"layers": 1},
        {"channels": 1e6},
        {"draws": 0},
        {"pairs": "none"},
        {"loss": "L3"},
        {"judges": 0},
    ],
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=f"options of method 'zs_ssl'.*{next(iter(bad))}"):
        resolve("zs_ssl", bad)


@pytest.mark.cuda
def test_cuda_gives_the_images_of_the_cpu(small):
    result = run_method("zs_ssl", small.kspace, small.maps, "cuda", **FEW)
    assert result.images.is_cuda
    assert relative_error(result.images, run_method("zs_ssl", small.kspace, small.maps, **FEW).images) < 0.05
