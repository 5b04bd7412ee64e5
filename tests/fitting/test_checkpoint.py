from __future__ import annotations

import functools
import json
import pickle
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from python_recon.data import Counters, Geometry
from python_recon.errors import ConfigError, DataError
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.fitted import FittedField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fitting.checkpoint import FORMAT, Origin, load, path_of_slice, save
from python_recon.fitting.warm_start import resume, take_over
from tests.fields.toys import MATRIX, LinearField, radial_kspace, smooth_maps
from tests.numerics import complex_noise

N_COILS, SCALE = 3, 5.0
GEOMETRY = Geometry(
    (1.0, -2.5, 30.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0, 0, -7.0), (260, 200, 8)
)
MOMENTS = torch.tensor([0.1, 0.5, 0.9])
TIMES_S = np.array([36_000.01, 36_000.05, 36_000.11])


def spline(seed=0, n_frames=6, n_functions=2):
    basis = np.random.default_rng(seed).normal(size=(n_frames, n_functions))
    return SplineBasis(basis, np.linspace(0.1, 0.9, n_frames))


def kspace():
    return replace(
        radial_kspace(n_coils=N_COILS),
        geometry=GEOMETRY,
        counters=Counters(slice=2, kspace_encode_step_1=9),
        measurement_id="heart 7",
    )


def make(field="separable", has_start=True, is_periodic=False, **options):
    """A field, its options, and where it is from."""
    chosen = FieldOptions(field=field, n_features=16, width=8, layers=2, output_std=1.0, **options)
    net = build_field(chosen, N_COILS, torch.device("cpu"), "periodic" if is_periodic else "plain", spline, 3)
    maps = smooth_maps(N_COILS, MATRIX)
    start = LowRankStart(torch.as_tensor(complex_noise((2, *MATRIX), 3)), maps, spline(1))
    r_waves = (36_000.0, 36_000.04, 36_000.09) if is_periodic else ()
    axis = TimeAxis("periodic" if is_periodic else "plain", 36_000.0, 0.12, r_waves)
    fitted = FittedField(net, start if has_start else None, (0.7,), SCALE, maps, axis)
    return fitted, chosen, Origin.of(kspace())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "field.safetensors"


def images_of(fitted):
    return torch.cat(list(fitted.render(TIMES_S)))


@pytest.mark.parametrize("field", ["separable", "stiff", "coilwise"])
@pytest.mark.parametrize("has_start", [True, False])
@pytest.mark.parametrize("is_periodic", [True, False])
def test_what_is_loaded_renders_as_what_was_saved(path, field, has_start, is_periodic):
    fitted, options, origin = make(field, has_start, is_periodic)
    save(fitted, path, "neural_kspace", options, origin)
    loaded = load(path)
    assert torch.equal(images_of(loaded.fitted), images_of(fitted))
    assert (loaded.fitted.start is None) != has_start
    assert loaded.fitted.axis == fitted.axis
    assert (loaded.fitted.shares, loaded.fitted.scale) == ((0.7,), SCALE)
    assert loaded.method == "neural_kspace"
    assert FieldOptions(**loaded.options) == options


@pytest.mark.parametrize("options", [{"harmonics": 3}, {"field": "stiff", "harmonics": 2, "wraps": True}])
def test_fields_with_harmonics_too(path, options):
    fitted, chosen, origin = make(has_start=False, **options)
    save(fitted, path, "neural_kspace", chosen, origin)
    assert torch.equal(images_of(load(path).fitted), images_of(fitted))


def test_a_basis_of_one_frame(path):
    fitted, options, origin = make(has_start=False)
    one = build_field(options, N_COILS, torch.device("cpu"), "plain", lambda: spline(0, 1, 1), 3)
    save(replace(fitted, net=one), path, "neural_kspace", options, origin)
    assert torch.equal(images_of(load(path).fitted), images_of(replace(fitted, net=one)))


def test_the_origin_comes_back(path):
    fitted, options, origin = make()
    save(fitted, path, "neural_kspace", options, origin)
    loaded = load(path).origin
    assert loaded == origin
    assert loaded.geometry == GEOMETRY
    assert loaded.measurement_id == "heart 7"
    assert loaded.slice_key == (2, 0, 0)
    assert loaded.image_matrix == MATRIX
    assert loaded.has_clock
    np.testing.assert_array_equal(loaded.frame_times, kspace().times_s)


def test_the_file_tells_all_to_any_reader_of_safetensors(path):
    fitted, options, origin = make()
    save(fitted, path, "neural_kspace", options, origin)
    with safe_open(path, framework="np") as file:
        metadata, names = file.metadata(), set(file.keys())
        assert file.get_tensor("maps").shape == (N_COILS, *MATRIX, 2)
    assert metadata["format"] == FORMAT.name
    configuration = json.loads(metadata["configuration"])
    assert configuration["options"]["width"] == 8
    assert configuration["origin"]["geometry"]["read_dir"] == [0.0, 1.0, 0.0]
    assert configuration["package_version"]
    assert {"start.pixels", "net.temporal.knots", "net.encoding.frequencies"} < names


def test_saving_replaces_and_leaves_nothing_else(path):
    fitted, options, origin = make()
    save(fitted, path, "neural_kspace", options, origin)
    save(replace(fitted, shares=(0.2,)), path, "neural_kspace", options, origin)
    assert load(path).fitted.shares == (0.2,)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_missing_is_told(path):
    with pytest.raises(ConfigError, match=r"checkpoint .*nowhere.* cannot be written"):
        save(make()[0], path.parent / "nowhere" / path.name, "neural_kspace", *make()[1:])


def test_a_field_that_could_not_be_rebuilt_is_not_saved(path):
    fitted, options, origin = make()
    with pytest.raises(ConfigError, match="the kind LinearField cannot be saved; expected one of Separable"):
        save(replace(fitted, net=LinearField(N_COILS)), path, "neural_kspace", options, origin)
    assert not path.exists()


def test_slices_have_files_of_their_own():
    assert str(path_of_slice("a/f.safetensors", Counters())) == "a/f.safetensors"
    assert str(path_of_slice("a/f.safetensors", Counters(slice=2))) == "a/f_slice2.safetensors"
    both = Counters(slice=1, contrast=3, set=4, repetition=5)
    assert str(path_of_slice("f.safetensors", both)) == "f_slice1_contrast3_set4.safetensors"


class TestRefusals:
    @pytest.fixture
    def rewrite(self, path):
        """Saves a good checkpoint with other metadata or other tensors."""
        fitted, options, origin = make()
        save(fitted, path, "neural_kspace", options, origin)
        with safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

        def rewrite(change=lambda _tensors: None, **changes):
            change(tensors)
            save_file(tensors, path, {key: text for key, text in {**metadata, **changes}.items() if text})
            return path

        return rewrite

    def test_no_file(self, path):
        with pytest.raises(DataError, match="there is no checkpoint"):
            load(path)

    @pytest.mark.parametrize(
        "content", [b"", b"hello", pickle.dumps({"a": 1}), (8).to_bytes(8, "little") + b"{not json"]
    )
    def test_no_checkpoint(self, path, content):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is no checkpoint"):
            load(path)

    def test_tensors_of_someone_else(self, path):
        save_file({"a": torch.ones(3)}, path)
        with pytest.raises(DataError, match="do not name the format"):
            load(path)

    def test_another_format_version(self, rewrite):
        with pytest.raises(DataError, match="format version 1, this program reads 4: fit the scan again"):
            load(rewrite(format_version="1"))

    @pytest.mark.parametrize("text", ["", "{", '{"method": "neural_kspace"}'])
    def test_a_damaged_configuration(self, rewrite, text):
        with pytest.raises(DataError, match=r"configuration in .* is damaged"):
            load(rewrite(configuration=text))

    @pytest.mark.parametrize(
        "name",
        [
            "maps",
            "start.pixels",
            "start.temporal.knots",
            "net.temporal.coefficients",
            "net.network.output.bias",
        ],
    )
    def test_missing_tensors(self, rewrite, name):
        with pytest.raises(DataError, match="incomplete"):
            load(rewrite(lambda tensors: tensors.pop(name)))

    def test_a_tensor_of_another_shape(self, rewrite):
        def cut(tensors):
            tensors["net.network.output.bias"] = torch.zeros(3)

        with pytest.raises(DataError, match=r"net\.network\.output\.bias is \(3,\), expected \(12,\)"):
            load(rewrite(cut))

    def test_maps_that_are_no_complex_numbers(self, rewrite):
        with pytest.raises(DataError, match="is no checkpoint"):
            load(rewrite(lambda tensors: tensors.update(maps=torch.zeros(4, 3))))

    def test_options_that_do_not_exist(self, rewrite, path):
        with safe_open(path, framework="pt") as file:
            configuration = json.loads(file.metadata()["configuration"])
        configuration["options"]["field"] = "cubic"
        with pytest.raises(DataError, match=r"options in .* are damaged"):
            load(rewrite(configuration=json.dumps(configuration)))

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"field": "stiff", "n_features": 16384, "width": 4096, "layers": 64}, "expected"),
            ({"layers": 1_000_000}, "options in .* are damaged"),
            ({"n_features": 2**40}, "options in .* are damaged"),
        ],
    )
    def test_no_memory_is_taken_for_what_the_file_does_not_hold(self, rewrite, path, changes, told):
        with safe_open(path, framework="pt") as file:
            configuration = json.loads(file.metadata()["configuration"])
        configuration["options"].update(changes)
        rewrite(configuration=json.dumps(configuration))
        before = psutil.Process().memory_info().rss
        with pytest.raises(DataError, match=told):
            load(path)
        assert psutil.Process().memory_info().rss - before < 2e8

    @pytest.mark.parametrize(
        ("key", "value", "told"),
        [
            ("scale", 0.0, "scale is 0"),
            ("scale", -1.0, "scale is -1"),
            ("shares", [3.0], "shares are"),
            ("origin.image_matrix", [2000, 2000], "images are"),
            ("origin.image_matrix", [0, 4], "images are"),
        ],
    )
    def test_numbers_that_no_fit_leaves(self, rewrite, path, key, value, told):
        with safe_open(path, framework="pt") as file:
            configuration = json.loads(file.metadata()["configuration"])
        *sections, name = key.split(".")
        functools.reduce(dict.__getitem__, sections, configuration)[name] = value
        with pytest.raises(DataError, match=rf"is damaged: its {told}"):
            load(rewrite(configuration=json.dumps(configuration)))

    @pytest.mark.parametrize("name", ["maps", "start.pixels", "net.network.output.bias"])
    def test_tensors_with_nan(self, rewrite, name):
        with pytest.raises(DataError, match=f"{name} holds NaN or Inf"):
            load(rewrite(lambda tensors: tensors[name].view(-1)[:1].fill_(torch.nan)))


class TestResume:
    @pytest.fixture
    def saved(self, path):
        save(make()[0], path, "neural_kspace", *make()[1:])
        return path

    @staticmethod
    def other_net(**options):
        fitted = make(**options)[0]
        for parameter in fitted.net.parameters():
            parameter.data.zero_()
        return fitted.net

    def test_it_begins_where_the_other_ended(self, saved):
        net = self.other_net()
        resume(net, saved, make()[1], kspace(), SCALE, MOMENTS)
        expected = make()[0].net.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"measurement_id": "heart 8"}, "measurement 'heart 7', not 'heart 8'"),
            ({"counters": Counters(slice=1)}, r"slice, contrast, set \(2, 0, 0\), not \(1, 0, 0\)"),
            ({"matrix": (20, 28)}, r"matrix \(20, 26\), not \(20, 28\)"),
        ],
    )
    def test_another_scan_is_refused(self, saved, changes, told):
        with pytest.raises(DataError, match=f"another scan or preparation: it has {told}; leave"):
            resume(self.other_net(), saved, make()[1], replace(kspace(), **changes), SCALE, MOMENTS)

    def test_other_coils_are_refused(self, saved):
        coils = replace(kspace(), data=kspace().data[:, :2])
        with pytest.raises(DataError, match="virtual coils 3, not 2"):
            resume(self.other_net(), saved, make()[1], coils, SCALE, MOMENTS)

    def test_another_scan_without_identity_is_refused(self, saved):
        with pytest.raises(DataError, match=r"a largest sample of 5, not 5.1"):
            resume(self.other_net(), saved, make()[1], kspace(), 5.1, MOMENTS)

    def test_another_field_is_refused(self, saved):
        asked = make(field="stiff", sigma=3.0)[1]
        with pytest.raises(
            DataError, match=r"another kind or size.*neural_kspace with field 'separable', sigma 5.0; fit"
        ):
            resume(self.other_net(field="stiff"), saved, asked, kspace(), SCALE, MOMENTS)


def test_a_former_fit_of_another_size_is_left_alone():
    fitted, net = make()[0], TestResume.other_net(field="coilwise")
    assert not take_over(net, fitted, MOMENTS)
    assert not any(parameter.any() for parameter in net.parameters())
    assert take_over(TestResume.other_net(), fitted, MOMENTS)
