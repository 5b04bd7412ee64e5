"""Density compensation."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.acquisition.radial.density import ramp_density
from python_recon.config import DensityConfig
from python_recon.data import KSpace
from python_recon.operators.density import fill_density, iterative_density
from python_recon.operators.nufft import Nufft

N = 48
GOLDEN = 180 * (5**0.5 - 1) / 2


def spokes(angles_deg, positions=None):
    k = (np.arange(2 * N) - N) / 2 if positions is None else positions
    angles = np.deg2rad(angles_deg)
    return (k[None, :, None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]).astype(np.float32)


def make_kspace(*frames, n_coils=1, **fields):
    trajectory = np.stack(frames)
    shape = (len(frames), n_coils, *trajectory.shape[1:3])
    return KSpace(np.ones(shape, np.complex64), trajectory, (N, N), **fields)


def gaussians(trajectory, seed=3):
    """Exact samples (coil 1) and the image of a sum of Gaussians, which is no sum of pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N // 2
    kx, ky = trajectory[..., 0].astype(float), trajectory[..., 1].astype(float)
    data, image = np.zeros(kx.shape, complex), np.zeros((N, N))
    for _ in range(5):
        cx, cy = rng.uniform(-0.2, 0.2, 2) * N
        wx, wy = rng.uniform(0.04, 0.1, 2) * N
        image += np.exp(-0.5 * (((x - cx) / wx) ** 2 + ((y - cy) / wy) ** 2))
        envelope = np.exp(-2 * (np.pi / N) ** 2 * ((kx * wx) ** 2 + (ky * wy) ** 2))
        data += 2 * np.pi * wx * wy / N * envelope * np.exp(-2j * np.pi / N * (kx * cx + ky * cy))
    return data[:, None].astype(np.complex64), image


def gridding_error(trajectory, density):
    data, image = gaussians(trajectory)
    got = Nufft(trajectory, (N, N), 1e-6).adjoint(density[:, None] * data)[0, 0]
    return np.linalg.norm(got - image) / np.linalg.norm(image)


def test_equal_angles_give_the_textbook_ramp():
    n = 20
    density = ramp_density(make_kspace(spokes(np.arange(n) * 180 / n)))
    radius = np.abs((np.arange(2 * N) - N) / 2)
    expected = np.pi * radius * 0.5 / n
    expected[N] = np.pi * 0.25**2 / n  # the disc up to half a sample
    assert density.dtype == np.float32
    np.testing.assert_allclose(density, np.broadcast_to(expected, (1, n, 2 * N)), rtol=1e-4)


def test_weights_add_up_to_the_disc():
    density = ramp_density(make_kspace(spokes(np.arange(34) * GOLDEN)))
    assert density.sum() == pytest.approx(np.pi * (N / 2) ** 2, rel=2e-3)


def test_spokes_without_a_central_sample_add_up_too():
    k = (np.arange(2 * N) - N + 0.5) / 2
    density = ramp_density(make_kspace(spokes(np.arange(20) * 9.0, k)))
    assert density.sum() == pytest.approx(np.pi * (N / 2) ** 2, rel=2e-3)


def test_uneven_angles_weigh_by_their_gaps():
    density = ramp_density(make_kspace(spokes([0.0, 30.0, 60.0, 120.0])))
    outer = density[0, :, 1] / density[0, :, 1].mean()
    # Nearest angles: 30 + 15, 15 + 15, 15 + 30 and 30 + 30 degrees of 180.
    np.testing.assert_allclose(outer, np.array([45, 30, 45, 60]) / 45, rtol=1e-4)


def test_a_wide_gap_does_not_count_in_full():
    density = ramp_density(make_kspace(spokes(np.arange(10) * 2.0)))
    assert density[0, :, 1].max() <= 2 * np.pi * 23.5 * 0.5 / 10 * 1.001


@pytest.mark.parametrize("n_spokes", [6, 34])
def test_an_ellipse_is_weighed_like_the_circle_that_it_is_in_space(n_spokes):
    """A field of view that is no square, in cycles per field of view: all spokes count, none more."""
    circle = spokes(np.arange(n_spokes) * GOLDEN)
    expected = ramp_density(make_kspace(circle)) * np.float32(40 / 48)
    ellipse = (circle * (1, 40 / 48)).astype(np.float32)
    np.testing.assert_allclose(ramp_density(make_kspace(ellipse)), expected, rtol=1e-3)


def test_padding_is_zero_and_does_not_count():
    whole = spokes(np.arange(12) * 15.0)
    padded = np.concatenate([whole, np.zeros_like(whole[:3])])
    mask = np.arange(15)[None] < 12
    density = ramp_density(make_kspace(padded, spoke_mask=mask))
    assert not density[0, 12:].any()
    np.testing.assert_allclose(density[0, :12], ramp_density(make_kspace(whole))[0], rtol=1e-6)


def test_partial_echoes_share_the_outer_rings_alone():
    k = np.arange(-N // 2, N) / 2  # one side reaches half as far
    density = ramp_density(make_kspace(spokes(np.arange(40) * 360 / 40, k)))
    full = ramp_density(make_kspace(spokes(np.arange(40) * 180 / 40)))
    assert density.sum() == pytest.approx(full.sum(), rel=0.04)
    both, alone = density[0, 0, N // 2 + 4] / k[N // 2 + 4], density[0, 0, -4] / k[-4]
    assert alone == pytest.approx(2 * both, rel=0.01)


def test_borrowed_spokes_count_beyond_nyquist_only():
    own, shared = 8, 16
    is_shared = np.arange(own + shared)[None] >= own
    kspace = make_kspace(spokes(np.arange(own + shared) * GOLDEN), is_shared=is_shared)
    density = ramp_density(kspace)[0]
    radius = np.abs((np.arange(2 * N) - N) / 2)
    inner = radius <= own / np.pi
    assert not density[own:, inner].any()
    assert (density[own:, ~inner] > 0).all()
    alone = ramp_density(make_kspace(spokes(np.arange(own) * GOLDEN)))[0]
    np.testing.assert_allclose(density[:own, inner], alone[:, inner], rtol=1e-6)
    assert density.sum() == pytest.approx(np.pi * (N / 2) ** 2, rel=5e-3)


@pytest.mark.parametrize(("n_spokes", "ramp", "iterative"), [(150, 0.03, 0.005), (40, 0.04, 0.03)])
def test_gridding_gives_the_image_in_its_own_scale(n_spokes, ramp, iterative):
    trajectory = spokes(np.arange(n_spokes) * GOLDEN)[None]
    kspace = make_kspace(trajectory[0])
    assert gridding_error(trajectory, ramp_density(kspace)) < ramp
    assert gridding_error(trajectory, iterative_density(kspace, 10)) < iterative


def test_iterative_density_keeps_padding_at_zero():
    trajectory = spokes(np.arange(12) * GOLDEN)
    mask = np.arange(12)[None] < 9
    density = fill_density(
        make_kspace(trajectory, spoke_mask=mask), DensityConfig(method="iterative")
    ).density
    assert not density[0, 9:].any()
    assert np.isfinite(density).all()
    assert (density[0, :9, 3:] > 0).all()


@pytest.mark.parametrize("method", ["ramp", "iterative"])
def test_torch_agrees_with_numpy(method):
    torch = pytest.importorskip("torch")
    kspace = make_kspace(*(spokes((np.arange(9) + 9 * i) * GOLDEN) for i in range(2)))
    config = DensityConfig(method=method, iterations=3)
    expected = fill_density(kspace, config).density
    got = fill_density(kspace.to_torch(), config).density
    assert isinstance(got, torch.Tensor)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-2, atol=1e-4)


@pytest.mark.cuda
@pytest.mark.parametrize("method", ["ramp", "iterative"])
def test_density_stays_on_the_gpu(method):
    kspace = make_kspace(spokes(np.arange(9) * GOLDEN))
    config = DensityConfig(method=method, iterations=3)
    got = fill_density(kspace.to_torch("cuda"), config).density
    assert got.is_cuda
    np.testing.assert_allclose(got.cpu().numpy(), fill_density(kspace, config).density, rtol=2e-2, atol=1e-3)


def test_spokes_of_slightly_different_length_share_the_rings_alike():
    gains = 1 + 0.01 * np.random.default_rng(1).standard_normal(60)
    even, uneven = spokes(3.0 * np.arange(60)), spokes(3.0 * np.arange(60)) * gains[:, None, None]
    found = ramp_density(make_kspace(uneven.astype(np.float32)))
    np.testing.assert_allclose(found, ramp_density(make_kspace(even)), rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("ramp", [np.zeros(0), np.arange(8) ** 2 / 16])
def test_half_spokes_share_the_disc(ramp):
    along = np.concatenate([ramp, np.arange(len(ramp) and 8, 2 * N) / 2])
    density = ramp_density(make_kspace(spokes(4.0 * np.arange(90), along)))[0]
    radius = along[-1] + 0.25
    assert density.sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    np.testing.assert_allclose(density, np.broadcast_to(density[0], density.shape), rtol=1e-4)
    inner = along < 10
    assert density[:, inner].sum() == pytest.approx(np.pi * (along[inner][-1] + 0.25) ** 2, rel=0.02)
