from __future__ import annotations

import pytest
import torch

from python_recon.fields.encodings import FourierFeatures, Stiff
from python_recon.fields.field import CoilwiseField, SeparableField, StiffField
from python_recon.fields.siren import Siren
from tests.fields.toys import LinearField, Polynomial, generator

N_COILS, N_POINTS, N_TIMES = 3, 11, 4


def network(n_in, n_out):
    return Siren(n_in, 16, 2, n_out, 20.0, generator(1))


def separable():
    encoding = FourierFeatures.from_normal(6, 2.0, generator())
    return SeparableField(encoding, Polynomial(2), 2, N_COILS, network)


def stiff():
    encoding = Stiff.from_normal(24, 2.0, generator(), n_temporal=3)
    return StiffField(encoding, Polynomial(3), N_COILS, network)


def coilwise():
    return CoilwiseField(FourierFeatures.from_normal(6, 2.0, generator(), n_dims=4), N_COILS, network)


KINDS = pytest.mark.parametrize("make", [separable, stiff, coilwise])


def places(n_points=N_POINTS):
    return 2 * torch.rand(n_points, 2, generator=generator(2)) - 1


def times(n_times):
    return torch.rand(n_times, generator=generator(3))


@KINDS
def test_one_value_for_every_point_and_coil(make):
    values = make()(places(), times(N_POINTS))
    assert values.shape == (N_POINTS, N_COILS)
    assert values.dtype == torch.complex64
    assert values.requires_grad


@KINDS
def test_all_times_at_once_are_the_times_one_by_one(make):
    field, k, t = make(), places(), times(N_TIMES)
    expected = torch.stack([field(k, moment.repeat(N_POINTS)) for moment in t])
    assert expected.shape == (N_TIMES, N_POINTS, N_COILS)
    torch.testing.assert_close(field.at_times(k, t), expected, rtol=1e-5, atol=1e-7)


@KINDS
def test_values_depend_on_place_time_and_coil(make):
    values = make().at_times(places(), times(N_TIMES)).detach()
    for axis in range(3):
        assert (values.diff(dim=axis).abs() > 1e-6).all()


def test_a_point_knows_nothing_of_the_others():
    for field in (separable(), stiff(), coilwise()):
        k, t = places(), times(N_POINTS)
        torch.testing.assert_close(field(k[3:5], t[3:5]), field(k, t)[3:5], rtol=1e-5, atol=1e-7)


def test_separable_is_the_sum_of_components_times_functions_of_time():
    field, k, t = separable(), places(), times(N_POINTS)
    first, second = field.components(k).unbind(1)
    torch.testing.assert_close(field(k, t), first + t[:, None] * second)


def test_coilwise_takes_the_coil_as_a_coordinate():
    """Time and coils run from -1 to 1, before kx and ky."""
    field, k, t = coilwise(), places(), times(N_POINTS)
    for coil, position in enumerate([-1.0, 0.0, 1.0]):
        inputs = torch.stack([2 * t - 1, torch.full_like(t, position), k[:, 0], k[:, 1]], -1)
        expected = torch.view_as_complex(field.network(field.encoding(inputs)))
        torch.testing.assert_close(field(k, t)[:, coil], expected)


def test_a_field_of_ones_own_needs_only_forward():
    field, k, t = LinearField(2, seed=1), places(), times(2)
    torch.testing.assert_close(field.at_times(k, t)[1], field(k, t[1].repeat(N_POINTS)))
