from __future__ import annotations

import itertools
import logging
import math
import sys

import numpy as np
import pytest
import torch

from python_recon import fields
from python_recon.errors import ConfigError
from python_recon.fields import hash_grid
from python_recon.fields.hash_grid import HashGrid

# Levels of 4, 6, 9 and 13 cells an axis: some dense and some hashed into 128 entries, in 2 and 3 dimensions.
SMALL = {"n_levels": 4, "n_features": 3, "log2_table_size": 7, "base_resolution": 4, "scale": 1.5}


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def grid_with_values(n_dims=2, dtype=torch.float32, **options):
    """A grid whose table is large enough to see."""
    grid = HashGrid(n_dims, generator(), **{**SMALL, **options}).to(dtype)
    values = torch.randn(grid.table.shape, generator=generator(1), dtype=torch.float64)
    grid.table.data = values.to(dtype)
    return grid


def points(n, n_dims, dtype=torch.float32):
    return torch.rand(n, n_dims, generator=generator(2), dtype=torch.float64).to(dtype)


def naive_features(table, x, n_levels, log2_table_size, base_resolution, scale, **_):
    """One point, level and corner at a time, with the published 32-bit hash."""
    size, features, start = 2**log2_table_size, [], 0
    for level in range(n_levels):
        cells = math.floor(base_resolution * scale**level)
        n_vertices = (cells + 1) ** len(x)
        lower = [min(int(u * cells), cells - 1) for u in x]
        total = 0.0
        for corner in itertools.product((0, 1), repeat=len(x)):
            vertex = [low + step for low, step in zip(lower, corner, strict=True)]
            if n_vertices <= size:
                row = sum(v * (cells + 1) ** axis for axis, v in enumerate(vertex))
            else:
                products = [v * p % 2**32 for v, p in zip(vertex, (1, 2654435761, 805459861), strict=False)]
                row = 0
                for product in products:
                    row ^= product
                row %= size
            near = [
                u * cells - low if step else 1 - u * cells + low
                for u, low, step in zip(x, lower, corner, strict=True)
            ]
            total = total + math.prod(near) * table[start + row]
        features.append(total)
        start += min(n_vertices, size)
    return np.concatenate(features)


@pytest.mark.parametrize("n_dims", [2, 3])
def test_features_are_those_of_a_naive_loop(n_dims):
    grid, x = grid_with_values(n_dims), points(40, n_dims)
    x[:3] = torch.tensor([[0.0] * n_dims, [1.0] * n_dims, [0.5] * n_dims])
    assert 0 < grid.n_dense < 4
    table = grid.table.detach().double().numpy()
    expected = [naive_features(table, point.tolist(), **SMALL) for point in x]
    assert grid.n_features == 12
    np.testing.assert_allclose(grid(x).detach(), expected, atol=2e-5)


@pytest.mark.parametrize("log2_table_size", [4, 12])
def test_levels_may_be_all_hashed_or_all_dense(log2_table_size):
    grid, x = grid_with_values(log2_table_size=log2_table_size), points(9, 2)
    assert grid.n_dense == (0 if log2_table_size == 4 else 4)
    table = grid.table.detach().double().numpy()
    options = {**SMALL, "log2_table_size": log2_table_size}
    expected = [naive_features(table, point.tolist(), **options) for point in x]
    np.testing.assert_allclose(grid(x).detach(), expected, atol=2e-5)


def test_a_fine_level_hashes_as_32_bit_arithmetic_does():
    """Vertices near 2^19 make products beyond 32 bits."""
    options = {"n_levels": 2, "n_features": 1, "log2_table_size": 10, "base_resolution": 2**18, "scale": 2.0}
    grid = grid_with_values(3, torch.float64, **options)
    x = 1 - 1e-3 * points(20, 3, torch.float64)
    expected = [naive_features(grid.table.detach().numpy(), point.tolist(), **options) for point in x]
    np.testing.assert_allclose(grid(x).detach(), expected, atol=1e-8)


def test_a_dense_level_is_bilinear_interpolation():
    """Against Torch's own, on a grid that is not square."""
    grid = grid_with_values(n_levels=1, base_resolution=(5, 8), log2_table_size=10)
    image = grid.table.detach().reshape(9, 6, 3).permute(2, 0, 1)
    x = points(50, 2)
    expected = torch.nn.functional.grid_sample(image[None], 2 * x[None, None] - 1, align_corners=True)
    torch.testing.assert_close(grid(x).detach(), expected[0, :, 0].T, atol=1e-5, rtol=1e-4)


def test_vertices_have_their_own_values():
    grid = grid_with_values(n_levels=1, base_resolution=4)
    axis = torch.arange(5) / 4
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    torch.testing.assert_close(grid(torch.stack([x, y], -1).reshape(-1, 2)), grid.table)


@pytest.mark.parametrize("n_dims", [2, 3])
def test_features_are_continuous_across_cells(n_dims):
    grid, step = grid_with_values(n_dims, torch.float64), 1e-9
    for cells in (4, 6, 9, 13):
        border = points(30, n_dims, torch.float64)
        border[:, 0] = torch.arange(1, cells).double()[torch.arange(30) % (cells - 1)] / cells
        across = torch.zeros(n_dims, dtype=torch.float64)
        across[0] = step
        jump = grid(border + across) - grid(border - across)
        assert jump.detach().abs().max() < 1e-6


@pytest.mark.parametrize("n_dims", [2, 3])
def test_gradients_are_those_of_finite_differences(n_dims):
    grid = grid_with_values(n_dims, torch.float64, n_features=1)
    x = points(5, n_dims, torch.float64).requires_grad_()
    weights = torch.rand(4, dtype=torch.float64)

    def features(table, x):
        return torch.func.functional_call(grid, {"table": table}, (x, weights))

    table = grid.table.detach().requires_grad_()
    assert torch.autograd.gradcheck(features, (table, x), eps=1e-7, atol=1e-5)


def test_beyond_the_unit_cube_the_outermost_cells_go_on():
    grid = grid_with_values(n_levels=1, base_resolution=4)
    inside = torch.tensor([[0.8, 0.3], [0.95, 0.3]])
    beyond = grid(torch.tensor([[1.1, 0.3]]))
    expected = grid(inside[1:]) + (grid(inside[1:]) - grid(inside[:1]))
    torch.testing.assert_close(beyond, expected, atol=1e-5, rtol=1e-5)


def test_levels_are_unlocked_from_coarse_to_fine():
    grid = grid_with_values()
    assert grid.level_weights(2).dtype == torch.float32
    assert grid.level_weights(0).tolist() == [0, 0, 0, 0]
    assert grid.level_weights(2.25).tolist() == [1, 1, 0.25, 0]
    assert grid.level_weights(9).tolist() == [1, 1, 1, 1]
    x = points(8, 2)
    full, some = grid(x), grid(x, grid.level_weights(2.25))
    torch.testing.assert_close(some[:, :6], full[:, :6])
    torch.testing.assert_close(some[:, 6:9], 0.25 * full[:, 6:9])
    assert not some[:, 9:].any()


def test_locked_levels_get_no_gradient():
    grid = grid_with_values()
    grid(points(30, 2), grid.level_weights(1.0)).sum().backward()
    assert grid.table.grad[:25].any()
    assert not grid.table.grad[25:].any()


def test_number_of_parameters_is_the_documented_one():
    grid = HashGrid(2, generator(), **SMALL)
    assert grid.n_parameters == sum(p.numel() for p in grid.parameters()) == 3 * (25 + 49 + 100 + 128)
    assert list(grid.state_dict()) == ["table"]


def test_start_is_small_and_depends_on_the_generator_alone(device):
    before = torch.random.get_rng_state()
    one, same, other = (HashGrid(3, generator(s, device), **SMALL) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.table, same.table)
    assert not torch.equal(one.table, other.table)
    assert 0.9e-4 < one.table.abs().max() <= 1e-4
    assert one(points(4, 3).to(device)).device.type == device


def test_features_keep_their_precision_under_autocast():
    grid, x = grid_with_values(), points(8, 2)
    expected = grid(x)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(grid(x), expected)


def test_it_learns_an_edge():
    """With a linear output alone, fine levels take up what the coarse ones cannot."""
    x = points(800, 2)
    wanted = ((x - 0.5).norm(dim=1) < 0.3).float()
    grid = HashGrid(2, generator(), n_levels=4, log2_table_size=10, base_resolution=4, scale=2.0)
    adam = torch.optim.Adam(grid.parameters(), 0.05)
    for _ in range(100):
        adam.zero_grad()
        loss = (grid(x).sum(1) - wanted).square().mean()
        loss.backward()
        adam.step()
    assert loss.detach() < 0.02


def test_it_compiles_whole():
    grid, x = grid_with_values(3), points(7, 3)
    compiled = torch.compile(grid, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, grid.level_weights(2.5)), grid(x, grid.level_weights(2.5)))


def test_without_triton_there_are_no_kernels(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "python_recon.fields.hash_grid_triton", raising=False)
    monkeypatch.delattr(fields, "hash_grid_triton", raising=False)
    with caplog.at_level(logging.INFO):
        assert hash_grid._kernels.__wrapped__() is None
    assert "computed by Torch: no Triton" in caplog.text


@pytest.mark.parametrize(
    ("n_dims", "options"),
    [(1, {}), (4, {}), (2, {"base_resolution": (4, 4, 4)}), (2, {"base_resolution": 0})],
)
def test_impossible_grids_are_refused(n_dims, options):
    with pytest.raises(ConfigError, match=r"hash grid of .* expected 2 or 3 dimensions"):
        HashGrid(n_dims, generator(), **{**SMALL, **options})
