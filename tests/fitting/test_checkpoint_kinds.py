"""Every kind of field in a file, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ConfigError, DataError
from python_recon.fields.breathing import BreathingBasis
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.corrected import CorrectedField
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import (
    ComponentField,
    Correction,
    ImageFieldOptions,
    SpaceTimeField,
    SpaceTimeOptions,
)
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fitting.checkpoint import Origin, load, save
from python_recon.fitting.warm_start import resume
from python_recon.losses import Iconik
from tests.fields.toys import MATRIX, LinearField, generator, radial_kspace, smooth_maps
from tests.numerics import complex_noise

N_COILS, SCALE = 3, 5.0
KSPACE = radial_kspace(n_coils=N_COILS)
TIMES_S = np.array([36_000.01, 36_000.05, 36_000.11])
MOMENTS = torch.tensor([0.1, 0.5, 0.9])
MAPS = smooth_maps(N_COILS, MATRIX)


def temporal(seed=0, knows_breath=False, n_functions=2):
    basis, times = np.random.default_rng(seed).normal(size=(6, n_functions)), np.linspace(0.1, 0.9, 6)
    return BreathingBasis(basis, times, times**2) if knows_breath else SplineBasis(basis, times)


def low_rank(seed=1, knows_breath=False):
    pixels = torch.as_tensor(complex_noise((2, *MATRIX), seed))
    return LowRankStart(pixels, MAPS, temporal(seed, knows_breath))


def component_field(knows_breath=False, width=8):
    options = ImageFieldOptions(levels=3, features=2, coarsest_cells=4, width=width)
    net = ComponentField(temporal(2, knows_breath), 0.7, MATRIX, options, generator())
    net.grid.table.data.normal_(generator=generator(3))
    return net, options


def space_time_field():
    options = SpaceTimeOptions(levels=3, log2_table_size=8, base_resolution=4, width=8, layers=2)
    net = SpaceTimeField(0.7, options, generator())
    net.grid.table.data.normal_(generator=generator(3))
    return net, options


def corrected_field():
    options = FieldOptions(n_features=16, width=8, layers=2, output_std=1.0)
    net = build_field(options, N_COILS, torch.device("cpu"), "plain", temporal, 3)
    correction = Iconik(N_COILS, generator(5))
    return CorrectedField(net, correction, torch.tensor([0.1, 0.2])), options


def correction(knows_breath=False):
    net, options = component_field(knows_breath)
    return Correction(net, low_rank(7, knows_breath)), options


def separable_field(knows_breath=False):
    options = FieldOptions(n_features=16, width=8, layers=2, output_std=1.0)
    net = build_field(
        options, N_COILS, torch.device("cpu"), "plain", lambda: temporal(4, knows_breath), seed=3
    )
    return net, options


MAKERS = {
    "components": component_field,
    "correction": correction,
    "space-time": space_time_field,
    "corrected": corrected_field,
    "start alone": lambda: (None, FieldOptions()),
    "components that breathe": lambda: component_field(True),
    "correction that breathes": lambda: correction(True),
    "k-space that breathes": lambda: separable_field(True),
}


def fitted_of(net, knows_breath=False):
    return FittedField(
        net, low_rank(knows_breath=knows_breath), (0.7,), SCALE, MAPS, TimeAxis("plain", 36_000.0, 0.12)
    )


def images_of(fitted):
    return torch.cat(list(fitted.render(TIMES_S)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "field.safetensors"


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_loaded_renders_as_what_was_saved(path, kind):
    net, options = MAKERS[kind]()
    fitted = fitted_of(net, "breathe" in kind)
    save(fitted, path, "a method", options, Origin.of(KSPACE))
    loaded = load(path).fitted
    assert type(loaded.net) is type(net)
    assert torch.equal(images_of(loaded), images_of(fitted))
    if "breathe" in kind:
        assert torch.equal(images_of(loaded.at_breath(0.3)), images_of(fitted.at_breath(0.3)))


def test_the_coil_maps_are_kept_once(path):
    save(fitted_of(correction()[0]), path, "st_inr", correction()[1], Origin.of(KSPACE))
    # Maps, and as many components of the start and of what was taught as there are coils, or fewer.
    images = (N_COILS + 2 + 2) * MATRIX[0] * MATRIX[1] * 8
    table = correction()[0].field.grid.n_parameters * 4
    assert path.stat().st_size < 1.2 * (images + table) + 20_000


@pytest.mark.parametrize("kind", ["components", "correction", "space-time", "corrected"])
def test_a_fit_goes_on_from_it(path, kind):
    net, options = MAKERS[kind]()
    save(fitted_of(net), path, "a method", options, Origin.of(KSPACE))
    bare = {"correction": "field", "corrected": "field"}.get(kind)
    fresh = MAKERS[kind]()[0]
    fresh = getattr(fresh, bare) if bare else fresh
    for parameter in fresh.parameters():
        parameter.data.zero_()
    resume(fresh, path, options, KSPACE, SCALE, MOMENTS)
    expected = (getattr(net, bare) if bare else net).state_dict()
    for name, tensor in fresh.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-4)


def test_another_kind_or_size_is_refused(path):
    net, options = component_field()
    save(fitted_of(net), path, "subspace_inr", options, Origin.of(KSPACE))
    for other, asked in (component_field(width=9), space_time_field(), separable_field()):
        with pytest.raises(DataError, match=r"another kind or size.* by subspace_inr with ") as told:
            resume(other, path, asked, KSPACE, SCALE, MOMENTS)
        assert ("width 8" in str(told.value)) == (asked.width != 8), "only what differs is told"


def test_a_start_alone_is_nothing_to_go_on_from(path):
    save(fitted_of(None), path, "st_inr", FieldOptions(), Origin.of(KSPACE))
    with pytest.raises(DataError, match="a start without a field: there is no fit to go on from"):
        resume(component_field()[0], path, FieldOptions(), KSPACE, SCALE, MOMENTS)


def test_a_correction_of_an_unknown_field_is_not_saved(path):
    net = CorrectedField(LinearField(N_COILS), Iconik(N_COILS), torch.zeros(2))
    with pytest.raises(ConfigError, match="the kind CorrectedField cannot be saved"):
        save(fitted_of(net), path, "iconik", FieldOptions(), Origin.of(KSPACE))
