"""Estimates of memory against what a step allocates: on the CPU, and on meta at the published size."""

from __future__ import annotations

import pytest
import torch

from python_recon.fields.building import build_field
from python_recon.fields.field import KSpaceField
from python_recon.fields.image_field import SpaceTimeField
from python_recon.fields.time_axis import SplineBasis
from python_recon.fields.view import View
from python_recon.fitting.needs import FieldNeed, image_field
from python_recon.losses import hdr
from python_recon.methods.neural_kspace import field_need
from python_recon.methods.registry import resolve
from python_recon.methods.subspace import SubspaceOptions
from python_recon.resources.memory import Size
from tests.fitting.allocations import Allocations
from tests.numerics import complex_noise

FACTOR = 2.0
"""Between an estimate and what is allocated."""
FIELDS = ["nik", "pisco", "nik_paper", "pisco_paper", "pisco_dist_paper", "iconik", "iconik_paper"]
PUBLISHED = Size(24, 16, 13, 384, (192, 192))


def net_of(options, n_coils, device):
    n_components = SubspaceOptions().components
    curves = complex_noise((20, n_components)).real
    basis = SplineBasis(curves, torch.linspace(0, 1, 20).numpy())
    return build_field(options, n_coils, torch.device(device), "plain", lambda: basis, seed=0)


def allocated(net: KSpaceField, n_points: int, device: str, learns: bool = True) -> int:
    """Peak of one evaluation, with its gradient where it learns."""
    k, t = torch.zeros(n_points, 2, device=device), torch.zeros(n_points, device=device)
    target = torch.zeros(n_points, net.n_coils, dtype=torch.complex64, device=device)
    with torch.set_grad_enabled(learns), Allocations() as allocations:
        loss = hdr(net(k, t), target)
        if learns:
            loss.backward()
    return allocations.peak


def test_allocations_are_counted_once_and_given_back():
    with Allocations() as allocations:
        first = torch.zeros(1000)
        second = first.view(10, 100).clone()
        assert allocations.held == 8000
        del first
        assert allocations.held == 4000
        third = second + 1
    assert (allocations.held, allocations.peak, len(third)) == (8000, 8000, 10)


def test_meta_allocates_what_the_cpu_does():
    options = resolve("nik", {})[1]
    on_cpu, on_meta = (allocated(net_of(options, 4, d), 500, d) for d in ("cpu", "meta"))
    assert on_meta == pytest.approx(on_cpu, rel=0.02)


@pytest.mark.parametrize("name", FIELDS)
def test_a_step_at_the_published_size_allocates_what_is_estimated(name):
    """On meta: 30,000 samples of a network 512 wide are gigabytes."""
    options = resolve(name, {})[1]
    need = field_need(PUBLISHED, options)
    found = allocated(net_of(options, PUBLISHED.n_coils, "meta"), options.batch, "meta")
    estimate = need.with_graph(options.batch)
    assert 1 / FACTOR < (estimate + need.parameters / 6) / found < FACTOR


@pytest.mark.parametrize("name", FIELDS)
def test_a_look_allocates_what_is_estimated(name):
    options = resolve(name, {})[1]
    found = allocated(net_of(options, PUBLISHED.n_coils, "meta"), 16_384, "meta", learns=False)
    assert 1 / FACTOR < field_need(PUBLISHED, options).without_graph(16_384) / found < FACTOR


def test_as_many_components_count_as_the_basis_has():
    options = resolve("nik", {})[1]
    assert field_need(PUBLISHED, options) == FieldNeed(options, 16, SubspaceOptions().components)
    assert field_need(Size(3, 16, 13, 384, (192, 192)), options).n_components == 3


def test_a_field_of_images_allocates_what_is_estimated():
    """The published one, on a whole batch of a GPU; in single precision, and by Torch alone."""
    options = resolve("st_inr_paper", {})[1]
    net = SpaceTimeField(1.0, options, torch.Generator().manual_seed(0)).to("meta")
    view = View.whole(PUBLISHED.matrix)
    with Allocations() as allocations:
        images = net.images(torch.zeros(4, device="meta"), view)
        images.backward(torch.zeros_like(images))
    n_cells = (options.base_resolution * options.scale ** (options.levels - 1)) ** 3
    estimate = image_field(4 * 192**2, 3, n_cells, options)
    assert 1 / FACTOR < estimate / allocations.peak < FACTOR
