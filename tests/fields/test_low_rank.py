from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.fields.view import View
from tests.fields.toys import generator, random_start
from tests.numerics import cartesian_grid, dft_matrix, relative_error

N_POINTS = 40


def exact_signal(start, k, t):
    """(point, coil) by the definition of the signal, term by term."""
    matrix = tuple(start.pixels.shape[-2:])
    cycles = k.numpy() * np.array([matrix[1] / 2, matrix[0] / 2])
    series = np.einsum("pr,ryx->pyx", start.temporal(t).numpy(), start.pixels.numpy())
    images = series[:, None] * start.maps.numpy()
    return np.einsum("pcn,pn->pc", images.reshape(len(k), len(start.maps), -1), dft_matrix(cycles, matrix))


@pytest.mark.parametrize("matrix", [(20, 26), (17, 12)])
def test_signal_is_that_of_the_images_of_each_moment(matrix):
    start = random_start(matrix=matrix)
    k = 1.9 * torch.rand(N_POINTS, 2, generator=generator(1)) - 0.95
    t = torch.rand(N_POINTS, generator=generator(2))
    signal = start.signal(k, t)
    assert signal.dtype == torch.complex64
    assert relative_error(signal, exact_signal(start, k, t)) < 2e-3


@pytest.mark.parametrize("matrix", [(20, 26), (17, 12), (15, 21)])
def test_grid_is_the_signal_of_the_components_at_the_cartesian_points(matrix):
    start = random_start(matrix=matrix)
    grid = start.grid()
    assert grid.shape == (2, *matrix, 3)
    dft = dft_matrix(cartesian_grid(matrix), matrix)
    images = (start.pixels[:, None] * start.maps).flatten(2).numpy()
    expected = np.einsum("kn,rcn->rkc", dft, images).reshape(2, *matrix, 3)
    assert relative_error(grid, expected) < 1e-5


def test_grid_and_signal_agree():
    start = random_start()
    rows, columns = start.pixels.shape[-2:]
    cycles = torch.as_tensor(cartesian_grid((rows, columns))).reshape(-1, 2)
    k = cycles / torch.tensor([columns / 2, rows / 2])
    t = torch.tensor([0.3]).expand(len(k))
    on_grid = torch.einsum("r,ryxc->yxc", start.temporal(t[:1])[0].to(torch.complex64), start.grid())
    assert relative_error(start.signal(k, t), on_grid.flatten(0, 1)) < 2e-3


def test_images_are_the_sums_of_the_components():
    start, t = random_start(), torch.tensor([0.0, 0.5, 0.9])
    images = start.at(View.whole((20, 26)))(t)
    for image, moment in zip(images, t, strict=True):
        torch.testing.assert_close(image, start.pixels[0] + moment * start.pixels[1])
    assert start.at(View.whole((24, 31)))(t).shape == (3, 24, 31)
