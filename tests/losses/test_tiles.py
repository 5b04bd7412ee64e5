from __future__ import annotations

import pytest
import torch

from python_recon.errors import ConfigError, ShapeError
from python_recon.losses import Pisco, Tiles, kernels_of, slice_patches, tile_size
from tests.losses.scene import MATRIX, N_COILS, coil_kspace, noise_kspace

SIZE = 14


def field(k):
    """Any smooth function of the coordinates, two coils."""
    x, y = k.unbind(-1)
    return torch.stack([torch.polar(1 + x, 3 * y), torch.polar(2 - y, x * y)], -1)


def test_coordinates_are_tiles_of_the_grid(generator):
    k = Tiles(MATRIX, SIZE).coordinates(5, generator)
    assert k.shape == (5, SIZE, SIZE, 2)
    index = (k + 1) * torch.tensor([MATRIX[1], MATRIX[0]]) / 2
    torch.testing.assert_close(index, index.round(), rtol=0, atol=1e-4)
    steps_x, steps_y = index.diff(dim=2), index.diff(dim=1)
    torch.testing.assert_close(steps_x, torch.tensor([1.0, 0.0]).expand_as(steps_x), rtol=0, atol=1e-4)
    torch.testing.assert_close(steps_y, torch.tensor([0.0, 1.0]).expand_as(steps_y), rtol=0, atol=1e-4)
    assert len(k[:, 0, 0].unique(dim=0)) == 5


@pytest.mark.parametrize("skip_inside", [0.5, 2.5, 4.0])
def test_tiles_keep_to_their_limits(skip_inside):
    tiles = Tiles(MATRIX, 9, skip_inside)
    n_tiles = len(tiles.corners)
    radius = tiles.coordinates(n_tiles + 10).norm(dim=-1)
    assert len(radius) == n_tiles, "no more than there are"
    step = 2 / min(MATRIX)
    assert radius.min() > skip_inside * step
    assert radius.max() <= 1 - step + 1e-6


def test_no_allowed_tile_is_missing():
    corners = {tuple(corner) for corner in Tiles((20, 16), 5, 2).corners.tolist()}
    expected = set()
    for y in range(16):
        for x in range(12):
            points = [((x + i) / 8 - 1, (y + j) / 10 - 1) for i in range(5) for j in range(5)]
            radii = [(a * a + b * b) ** 0.5 for a, b in points]
            if min(radii) > 2 / 8 and max(radii) <= 1 - 1 / 8 + 1e-12:
                expected.add((x, y))
    assert corners == expected
    assert corners


@pytest.mark.parametrize("spacing", [1, 2])
@pytest.mark.parametrize("geometry", ["without_row", "without_column", "without_centre"])
def test_slices_are_what_the_field_is_there(geometry, spacing, generator):
    (kernel,) = kernels_of(geometry)
    k = Tiles(MATRIX, 9).coordinates(3, generator)
    targets, patches = slice_patches(field(k), kernel, spacing)
    inner = slice(spacing, 9 - spacing)
    targets_k = k[:, inner, inner].flatten(1, 2)
    patches_k = kernel(targets_k, spacing * torch.tensor([2 / MATRIX[1], 2 / MATRIX[0]]))
    torch.testing.assert_close(targets, field(targets_k))
    torch.testing.assert_close(patches, field(patches_k), rtol=1e-4, atol=1e-5)


def test_components_add_rows_to_the_set_of_their_tile(generator):
    (kernel,) = kernels_of("without_centre")
    values = torch.stack([field(Tiles(MATRIX, 7).coordinates(3, generator)) for _ in range(4)])
    targets, patches = slice_patches(values, kernel)
    assert targets.shape == (3, 4 * 25, 2)
    assert patches.shape == (3, 4 * 25, 8, 2)
    for component in range(4):
        alone = slice_patches(values[component], kernel)
        rows = slice(25 * component, 25 * (component + 1))
        torch.testing.assert_close(targets[:, rows], alone[0])
        torch.testing.assert_close(patches[:, rows], alone[1])


def test_loss_of_tiles(kspace, generator):
    """Zero for coils, one for noise, and components of one object share their kernels."""
    (kernel,) = kernels_of("without_row")
    pisco = Pisco(N_COILS, MATRIX)
    size = tile_size(N_COILS, kernel, 2.0)
    k = Tiles(MATRIX, size).coordinates(4, generator)
    assert pisco(*slice_patches(kspace(k), kernel))[0] < 1e-6
    assert 0.8 < pisco(*slice_patches(noise_kspace()(k), kernel))[0] < 1.2
    other_object = coil_kspace(seed=20)
    strangers = torch.stack([kspace(k), other_object(k)])
    same_coils = torch.stack([kspace(k), 0.1j * kspace(k.flip(0))])
    assert pisco(*slice_patches(same_coils, kernel))[0] < 1e-6
    assert pisco(*slice_patches(strangers, kernel))[0] > 1e-2


@pytest.mark.parametrize("n_components", [1, 5])
@pytest.mark.parametrize("spacing", [1, 2])
def test_tile_size_is_the_smallest(spacing, n_components):
    (kernel,) = kernels_of("without_row")
    size = tile_size(8, kernel, 3.0, spacing, n_components)
    rows = [n_components * (side - 2 * spacing) ** 2 for side in (size - 1, size)]
    assert rows[0] < 3 * 6 * 8 <= rows[1]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="no tile of 40 points"):
        Tiles(MATRIX, 40)
    with pytest.raises(ConfigError, match="no tile of 80 points"):
        Tiles(MATRIX, 80)
    (row,), (spoke,) = kernels_of("without_row"), kernels_of("spoke")
    values = torch.zeros(2, 6, 6, 3, dtype=torch.complex64)
    with pytest.raises(ConfigError, match="'grid'"):
        slice_patches(values, spoke)
    with pytest.raises(ShapeError, match="above 6"):
        slice_patches(values, row, 3)
    with pytest.raises(ShapeError, match="component"):
        slice_patches(values[0], row)
