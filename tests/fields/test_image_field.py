from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import DataError
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import (
    ComponentField,
    Correction,
    ImageField,
    ImageFieldOptions,
    SpaceTimeField,
    SpaceTimeOptions,
)
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fields.view import View
from python_recon.judging.shares import WHOLE
from python_recon.operators.reach import DISC, within_reach
from tests.fields.toys import MATRIX, blob, generator, random_start, smooth_maps
from tests.numerics import relative_error

SMALL = ImageFieldOptions(levels=3, features=2, coarsest_cells=4, width=12)
TIMES = np.linspace(0, 1, 5)


def curves(seed=0, n_functions=2, n_frames=5):
    values = np.random.default_rng(seed).normal(size=(n_frames, n_functions))
    return SplineBasis(np.linalg.qr(values)[0] * n_frames**0.5, np.linspace(0, 1, n_frames))


def component_field(seed=0, temporal=None, options=SMALL, matrix=MATRIX):
    """Of values that are not near zero, as fresh ones are."""
    net = ComponentField(temporal or curves(), 0.5, matrix, options, generator(seed))
    net.grid.table.data.normal_(generator=generator(seed + 1))
    return net


def space_time_field(seed=0):
    options = SpaceTimeOptions(levels=3, log2_table_size=10, base_resolution=4, width=12, layers=2)
    net = SpaceTimeField(0.5, options, generator(seed))
    net.grid.table.data.normal_(generator=generator(seed + 1))
    return net


def fitted_images(net, start=None, shares=WHOLE, scale=1.0):
    axis = TimeAxis("plain", 10.0, 2.0)
    return FittedField(net, start, shares, scale, smooth_maps(3, MATRIX), axis)


def rendered(fitted, times_s, matrix=None, view=None):
    return torch.cat(list(fitted.render(np.asarray(times_s), matrix, view)))


ALL = View.whole(MATRIX)
WINDOW = View((60, 78), (31, 45), (10, 33))
"""Of pixels a third as wide."""


class Blob(ImageField):
    """A blob that moves along x, exact at every matrix."""

    def at(self, view, shares=WHOLE):
        (share,) = shares
        return lambda t: (
            share * view.cut(torch.stack([blob(view.matrix, (0.1 * float(moment), -0.08)) for moment in t]))
        )


@pytest.mark.parametrize("net", [component_field(), space_time_field()])
def test_finer_images_go_through_the_pixels_of_the_coarser(net):
    t = torch.tensor([0.2, 0.7])
    with torch.no_grad():
        coarse, fine = net.at(ALL)(t), net.at(View.whole((3 * MATRIX[0], 3 * MATRIX[1])))(t)
    assert coarse.shape == (2, *MATRIX)
    assert coarse.dtype == torch.complex64
    np.testing.assert_allclose(fine[:, ::3, ::3], coarse, atol=2e-5)


def test_a_component_field_is_its_components_times_their_curves():
    net = component_field()
    with torch.no_grad():
        components, images = net.components(ALL), net.at(ALL)(torch.tensor([0.25, 1.0]))
    assert components.shape == (2, *MATRIX)
    for image, frame in zip(images, (1, 4), strict=True):
        weights = net.temporal(torch.tensor([TIMES[frame]], dtype=torch.float32))[0]
        assert relative_error(image, weights[0] * components[0] + weights[1] * components[1]) < 1e-5


def test_places_in_parts_are_the_whole(monkeypatch):
    net = component_field()
    with torch.no_grad():
        whole = net.components(ALL)
        monkeypatch.setattr("python_recon.fields.image_field._POINTS", 77)
        np.testing.assert_allclose(net.components(ALL), whole, atol=1e-6)


def test_the_finest_cells_follow_the_matrix():
    for matrix in ((32, 40), (96, 80)):
        net = component_field(options=ImageFieldOptions(), matrix=matrix)
        assert int(net.grid.resolutions[-1].max()) == pytest.approx(max(matrix), abs=1)
        assert int(net.grid.resolutions[0].max()) == 8


def test_a_field_taken_over_has_the_same_images_in_another_basis():
    """Where the bases span the same curves; here the second is the first one turned."""
    former = component_field(1)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    values = former.temporal(torch.as_tensor(TIMES, dtype=torch.float32)) @ turn
    net = component_field(5, SplineBasis(values.numpy(), TIMES))
    t = torch.as_tensor(TIMES, dtype=torch.float32)
    assert net.take_over(former, t)
    with torch.no_grad():
        assert relative_error(net.at(ALL)(t), former.at(ALL)(t)) < 1e-5


def test_a_field_of_another_size_is_not_taken_over():
    net = component_field(2)
    before = net.grid.table.clone()
    wider = component_field(1, options=SMALL.model_copy(update={"width": 13}))
    assert not net.take_over(wider, torch.tensor([0.0, 1.0]))
    assert torch.equal(net.grid.table, before)


def test_a_correction_is_the_field_less_what_it_was_taught_within_the_disc_of_spokes():
    """In the corners of k-space, where no sample can judge the field, the start stays."""
    net, start, t = component_field(), random_start(), torch.tensor([0.3, 0.8])
    fitted = fitted_images(Correction(net, start), start)
    with torch.no_grad():
        begun, wanted = start.at(ALL)(t), net.at(ALL)(t)
        expected = begun + within_reach(wanted - begun, DISC)
    assert relative_error(expected, wanted) > 0.01
    assert relative_error(rendered(fitted, [10.6, 11.6]), expected) < 1e-5


def test_components_of_a_correction_have_shares_of_their_own():
    net, known, t = component_field(), random_start(), torch.tensor([0.3, 0.8])
    start = LowRankStart(known.pixels, known.maps, net.temporal)
    images = rendered(fitted_images(Correction(net, start), start, (0.25, 0.75)), [10.6, 11.6])
    with torch.no_grad():
        shares = torch.tensor([0.25, 0.75])[:, None, None]
        mixed = start.pixels + shares * within_reach(net.components(ALL) - start.pixels, DISC)
        expected = torch.einsum("tr,ryx->tyx", net.temporal(t).to(mixed.dtype), mixed)
    assert relative_error(images, expected) < 1e-5


def test_rendering_adds_the_share_of_the_field_to_the_start():
    start, t = random_start(), torch.tensor([0.3, 0.8])
    images = rendered(fitted_images(Blob(), start, (0.25,), scale=4.0), [10.6, 11.6])
    expected = 4.0 * (0.25 * Blob().at(ALL)(t) + start.at(ALL)(t))
    assert relative_error(images, expected) < 1e-5


def test_the_start_alone_is_rendered_finer_as_well():
    start = random_start()
    fine = rendered(fitted_images(None, start, (0.0,)), [10.5], (40, 52))
    assert fine.shape == (1, 40, 52)
    assert relative_error(fine, start.at(View.whole((40, 52)))(torch.tensor([0.25]))) < 1e-6


def test_many_times_are_rendered_a_few_at_a_time():
    times = np.linspace(10, 12, 9)
    parts = list(fitted_images(Blob()).render(times))
    assert [len(part) for part in parts] == [4, 4, 1]
    expected = Blob().at(ALL)(torch.as_tensor((times - 10) / 2))
    assert relative_error(torch.cat(parts), expected) < 1e-5


@pytest.mark.parametrize(
    "net", [component_field(), space_time_field(), Correction(component_field(), random_start())]
)
def test_a_window_is_that_of_the_whole(net):
    t = torch.tensor([0.2, 0.7])
    with torch.no_grad():
        whole = net.at(View.whole(WINDOW.matrix))(t)
        np.testing.assert_allclose(net.at(WINDOW)(t), whole[:, 31:45, 10:33], atol=2e-5)


def test_a_field_is_evaluated_within_the_window_only(monkeypatch):
    net, asked = component_field(), []
    grid = net.grid.forward
    monkeypatch.setattr(net.grid, "forward", lambda places: asked.append(len(places)) or grid(places))
    images = rendered(fitted_images(net, random_start()), [10.5, 11.0], view=WINDOW)
    assert images.shape == (2, 14, 23)
    assert asked == [14 * 23]


def test_times_outside_the_scan_are_refused():
    with pytest.raises(DataError, match="the scan covers 10 s to 12 s"):
        list(fitted_images(Blob()).render(np.array([9.0])))
