"""Flow of many pairs at once, against known motion and against scikit-image's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import optical_flow_ilk

from python_recon.motion.optical_flow import flow, pyramid, warped, window_mean
from tests.numerics import as_numpy

MATRIX = (64, 56)
RADIUS, WARPS, RIDGE = 4, 8, 1e-9


def texture(seed=0, shape=MATRIX):
    """Fine structure everywhere, about 0..1."""
    image = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.5, mode="wrap")
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def moved(image, displacement):
    """The image whose pixel p is the given one's at p - displacement."""
    grid = np.meshgrid(*map(np.arange, image.shape), indexing="ij")
    return map_coordinates(image, np.array(grid) - displacement, order=3, mode="wrap").astype(np.float32)


def swirl(amplitude):
    """(2, y, x) smooth displacements of up to so many pixels."""
    y, x = np.meshgrid(*(np.linspace(0, 2 * np.pi, n, endpoint=False) for n in MATRIX), indexing="ij")
    return amplitude * np.stack([np.sin(y) * np.cos(x), np.cos(y) * np.sin(x)])


def flow_between(fixed, moving, device="cpu", warps=WARPS):
    levels = [pyramid(torch.as_tensor(np.stack(images), device=device)) for images in (fixed, moving)]
    return flow(*levels, RADIUS, warps, RIDGE)


def inner(values):
    """Where nothing came in over the border."""
    return values[..., 16:-16, 16:-16]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.6, -0.3), (2.0, 3.5), (-4.0, 3.0)])
def test_a_known_shift_is_found(device, shift):
    image = texture()
    displacement = np.array(shift)[:, None, None]
    found = as_numpy(flow_between([image], [moved(image, displacement)], device))[0]
    np.testing.assert_allclose(inner(found), np.broadcast_to(displacement, inner(found).shape), atol=0.1)


@pytest.mark.parametrize("amplitude", [1.0, 4.0])
def test_flow_is_as_good_as_that_of_scikit_image(amplitude):
    """Judged by how well the moving image, warped, is the fixed one, and by the flow itself."""
    moving = texture(1)
    truth = swirl(amplitude)
    grid = np.array(np.meshgrid(*map(np.arange, MATRIX), indexing="ij"))
    fixed = map_coordinates(moving, grid + truth, order=3, mode="wrap").astype(np.float32)
    ours = as_numpy(flow_between([fixed], [moving], warps=10))[0]
    theirs = optical_flow_ilk(fixed, moving, radius=RADIUS, num_warp=10)

    def error(found):
        return np.sqrt(np.mean(inner(found - truth) ** 2))

    assert error(ours) < 0.2 * amplitude
    assert error(ours) < 1.1 * error(theirs)
    assert np.sqrt(np.mean(inner(ours - theirs) ** 2)) < 0.15 * amplitude


def test_pairs_do_not_disturb_each_other():
    images = [texture(seed) for seed in range(3)]
    others = [moved(image, np.array([seed, -1.0])[:, None, None]) for seed, image in enumerate(images)]
    together = flow_between(images, others)
    for index in range(3):
        alone = flow_between(images[index : index + 1], others[index : index + 1])
        torch.testing.assert_close(together[index], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_where_there_is_no_structure_nothing_moves(level):
    flat = np.full(MATRIX, level, np.float32)
    assert not flow_between([flat], [flat]).any()


def test_warping_by_whole_pixels_is_a_shift():
    image = torch.as_tensor(texture())[None, None]
    displacement = torch.zeros(1, 2, *MATRIX)
    displacement[:, 0], displacement[:, 1] = 3, -2
    for mode in ("bilinear", "bicubic"):
        result = warped(image, displacement, mode)
        torch.testing.assert_close(result[..., :-3, 2:], image[..., 3:, :-2], atol=1e-5, rtol=0)


def test_outside_the_border_goes_on():
    image = torch.as_tensor(texture())[None, None]
    result = warped(image, torch.full((1, 2, *MATRIX), 1000.0))
    torch.testing.assert_close(result, image[..., -1:, -1:].expand_as(result))


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 7])
def test_window_mean_is_the_mean(radius):
    image = texture()
    result = as_numpy(window_mean(torch.as_tensor(image)[None, None], radius))[0, 0]
    padded = np.pad(image, radius, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)
    np.testing.assert_allclose(result, windows.mean((-2, -1)), atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 12), (33, 47), (128, 20)])
def test_levels_halve_and_keep_the_mean(shape):
    levels = pyramid(torch.as_tensor(texture(shape=shape))[None])
    for fine, coarse in itertools.pairwise(levels):
        assert coarse.shape[-2:] == tuple(-(-n // 2) for n in fine.shape[-2:])
        assert float(coarse.mean()) == pytest.approx(float(fine.mean()), rel=0.1)
    assert min(levels[-1].shape[-2:]) < 32
