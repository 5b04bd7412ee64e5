from __future__ import annotations

import math

import pytest
import torch

from python_recon.errors import ConfigError
from python_recon.losses import GEOMETRIES, kernels_of

SPACING = torch.tensor([0.02, 0.03])


def offsets(geometry, target, spacing=SPACING, which=0):
    """Steps from target to neighbours, as a set of rounded pairs."""
    target = torch.tensor(target)
    neighbours = kernels_of(geometry)[which](target, spacing)
    steps = (neighbours - target) / spacing
    return {(round(x, 3) + 0.0, round(y, 3) + 0.0) for x, y in steps.tolist()}


@pytest.mark.parametrize(
    ("geometry", "n_neighbours"),
    [("without_row", 6), ("without_column", 6), ("alternating", 6), ("without_centre", 8), ("spoke", 6)],
)
def test_neighbours(geometry, n_neighbours):
    for kernel in kernels_of(geometry):
        assert kernel.n_neighbours == n_neighbours
        assert kernel(torch.zeros(3, 4, 2), SPACING).shape == (3, 4, n_neighbours, 2)
        assert kernel.reach == 1


def test_no_kernel_contains_its_target():
    for geometry in GEOMETRIES:
        assert (0, 0) not in offsets(geometry, [0.3, 0.4])


def test_missing_row_is_one_of_constant_ky():
    assert {y for _, y in offsets("without_row", [0.3, 0.4])} == {-1, 1}
    assert {x for x, _ in offsets("without_column", [0.3, 0.4])} == {-1, 1}


def test_alternating_is_both():
    for which, name in enumerate(("without_row", "without_column")):
        assert offsets("alternating", [0.1, 0.2], which=which) == offsets(name, [0.1, 0.2])


def test_turned_kernel_is_that_of_the_grid_on_the_kx_axis():
    assert offsets("spoke", [0.5, 0.0]) == offsets("without_row", [0.5, 0.0])
    assert offsets("spoke", [0.0, 0.5]) == offsets("without_column", [0.0, 0.5])


def test_turned_kernel_turns_with_its_target():
    spacing = torch.tensor([0.02, 0.02])
    angle = math.radians(25)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    target = torch.tensor([0.4, 0.1])
    for geometry in ("spoke", "polar"):
        (kernel,) = kernels_of(geometry)
        torch.testing.assert_close(kernel(turn @ target, spacing), kernel(target, spacing) @ turn.T)


def test_polar_neighbours_lie_on_neighbouring_circles_and_spokes():
    spacing = torch.tensor([0.02, 0.02])
    (kernel,) = kernels_of("polar")
    target = torch.tensor([0.3, 0.4])
    neighbours = kernel(target, spacing)
    radii = neighbours.norm(dim=-1)
    expected = torch.tensor([0.48, 0.5, 0.52])
    torch.testing.assert_close(radii, expected.repeat(2))
    angles = torch.atan2(neighbours[:, 1], neighbours[:, 0]) - math.atan2(0.4, 0.3)
    # At half the largest radius, 0.5, the arc is one step of 0.02.
    torch.testing.assert_close(angles, torch.tensor([-0.04, 0.04]).repeat_interleave(3))


def test_unknown_name():
    with pytest.raises(ConfigError, match=r"hexagon.*without_row"):
        kernels_of("hexagon")
