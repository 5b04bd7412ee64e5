from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.field import CoilwiseField, SeparableField, StiffField
from python_recon.fields.time_axis import SplineBasis
from tests.fields.toys import generator

SMALL = {"n_features": 16, "width": 8, "layers": 2}
KINDS = {"separable": SeparableField, "stiff": StiffField, "coilwise": CoilwiseField}


def spline():
    return SplineBasis(np.random.default_rng(1).normal(size=(5, 2)), np.linspace(0, 1, 5))


def build(kind="plain", seed=0, n_coils=3, learned_basis=spline, **options):
    chosen = FieldOptions(**{**SMALL, **options})
    return build_field(chosen, n_coils, torch.device("cpu"), kind, learned_basis, seed)


def values_of(net, t, n_points=9):
    k = 2 * torch.rand(n_points, 2, generator=generator(4)) - 1
    return net.at_times(k, torch.as_tensor(t)).detach()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_built(kind):
    net = build(field=kind)
    assert type(net) is KINDS[kind]
    assert values_of(net, [0.0, 0.4]).shape == (2, 9, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_field(kind):
    first, again, other = (build(field=kind, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_temporal_basis_is_learned_only_where_it_is_needed():
    assert isinstance(build().temporal, SplineBasis)
    for options in ({"harmonics": 2}, {"field": "stiff"}, {"field": "coilwise"}, {"learned_basis": None}):
        assert not any(isinstance(module, SplineBasis) for module in build(**options).modules())


@pytest.mark.parametrize("kind", ["separable", "stiff"])
@pytest.mark.parametrize(
    ("options", "is_closed"), [({"kind": "periodic"}, True), ({"wraps": True}, True), ({}, False)]
)
def test_first_and_last_moment_are_equal_only_where_time_wraps(kind, options, is_closed):
    first, last = values_of(build(field=kind, harmonics=2, **options), [0.0, 1.0])
    assert torch.allclose(first, last, rtol=1e-3, atol=1e-6) == is_closed


def test_a_constant_belongs_to_the_harmonics_of_components():
    """What does not move must not need harmonics to cancel."""
    net = build(harmonics=2)
    assert net.n_components == 5
    assert (net.temporal(torch.tensor([0.1, 0.8]))[:, 0] == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_output_starts_small(kind):
    wide = {"width": 128, "n_features": 128}
    small, published = build(field=kind, **wide), build(field=kind, output_std=None, **wide)
    assert values_of(small, [0.3]).abs().max() < 0.2
    assert values_of(published, [0.3]).abs().mean() > 2 * values_of(small, [0.3]).abs().mean()


@pytest.mark.parametrize(
    "options",
    [{"sigma": 0}, {"width": 0}, {"field": "cubic"}, {"n_features": 2}, {"output_std": -1}, {"depth": 3}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        FieldOptions(**options)
