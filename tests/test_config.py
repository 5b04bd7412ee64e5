"""Layers, names and limits of the configuration."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from python_recon.config import Config, flat_keys, load_config, load_preset, nearest, preset_names
from python_recon.errors import ConfigError

VALID = {
    "method": st.sampled_from(["gridding", "grasp"]),
    "preview": st.sampled_from(["none", "gridding"]),
    "threads": st.none() | st.integers(1, 64),
    "matrix": st.none() | st.integers(16, 512),
    "max_recon_seconds": st.floats(0.1, 1e4),
    "noise.prewhiten": st.booleans(),
    "trajectory.mode": st.sampled_from([None, 0, 1, 2, 3]),
    "trajectory.angle_increment_deg": st.none() | st.floats(-360, 360),
    "binning.spokes_per_frame": st.none() | st.integers(1, 1000),
    "binning.minimum_fraction": st.floats(0.01, 1),
    "coils.maps": st.sampled_from(["low_resolution", "walsh", "espirit", "nlinv"]),
    "output.bits": st.sampled_from([12, 16]),
    "options.iterations": st.integers(1, 100),
}


def flat(config: Config) -> dict[str, object]:
    dumped = config.model_dump()
    keys = dict.fromkeys(flat_keys(), dumped)
    for name, level in keys.items():
        value = level
        for part in name.split("."):
            value = value[part]
        keys[name] = value
    return keys


@given(st.fixed_dictionaries({}, optional=VALID))
def test_settings_survive_dots_nesting_and_yaml(settings):
    config = load_config(settings)
    for key, value in settings.items():
        if key != "options.iterations":
            assert flat(config)[key] == value
    assert (
        config.options == {"iterations": settings["options.iterations"]}
        if "options.iterations" in settings
        else True
    )
    again = load_config(yaml.safe_load(yaml.safe_dump(config.model_dump())))
    assert again == config


@given(st.text(alphabet="abcdefgh_.", min_size=1).filter(lambda key: key.strip(".") and ".." not in key))
def test_no_unknown_name_passes(name):
    if name in flat_keys() or name.startswith("options."):
        return
    with pytest.raises(ConfigError):
        load_config({name: 1})


def test_later_layers_win_over_earlier_ones_and_over_the_preset():
    config = load_config({"binning.spokes_per_frame": 8, "threads": 1}, {"binning": {"spokes_per_frame": 21}})
    assert (config.binning.spokes_per_frame, config.threads) == (21, 1)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"binning.spokes_per_fram": 8}, "did you mean 'binning.spokes_per_frame'"),
        ({"methd": "grasp"}, "did you mean 'method'"),
        ({"method": "grsp"}, "did you mean 'grasp'"),
        ({"binning.spokes_per_frame": 0}, "binning.spokes_per_frame"),
        ({"coils.maps": "guess"}, "coils.maps"),
        ({"binning": 3}, "binning"),
    ],
)
def test_mistakes_are_named_with_a_cure(settings, hint):
    with pytest.raises(ConfigError, match=hint):
        load_config(settings)


@pytest.mark.parametrize(
    "layers",
    [
        [{"binning": 3}, {"binning.step": 2}],
        [{"binning": 3}, {"binning": {}}],
        [{"binning": 3, "binning.step": 2}],
        [{"binning.step": 2}, {"binning": 3}, {"binning.step": 2}],
        [{"options": None}, {"options.iterations": 2}],
    ],
)
def test_a_value_in_the_place_of_a_section_is_not_hidden_by_later_layers(layers):
    with pytest.raises(ConfigError, match=r"'(binning|options)' is (3|None) in one place"):
        load_config(*layers)


def test_layers_are_left_as_they_were():
    first, second = {"binning": {"step": 2}}, {"binning": {"spokes_per_frame": 4}}
    load_config(first, second)
    assert first == {"binning": {"step": 2}}


def test_every_setting_is_described():
    undescribed = [name for name, field in flat_keys().items() if not field.description]
    assert not undescribed


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_describe_themselves(name):
    preset = load_preset(name)
    assert preset.description
    assert "\n" not in preset.description
    assert load_config({"method": name}).method == name


def test_nearest_names_one_or_all():
    assert "'grasp'" in nearest("garsp", ["grasp", "nik"])
    assert "grasp, nik" in nearest("zzzz", ["grasp", "nik"])


@pytest.mark.parametrize("value", ["nan", "inf", float("-inf")])
@pytest.mark.parametrize(
    "name", ["trajectory.angle_increment_deg", "trajectory.angle_offset_deg", "max_recon_seconds"]
)
def test_numbers_are_finite(name, value):
    with pytest.raises(ConfigError, match=name):
        load_config({name: value})
