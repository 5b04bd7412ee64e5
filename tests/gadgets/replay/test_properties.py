"""Properties of a config XML as settings."""

from __future__ import annotations

import pytest
from defusedxml.ElementTree import fromstring

from gadgets.replay.properties import parse_value, properties_of
from python_recon.config import load_config
from python_recon.errors import ConfigError


def configuration(**properties):
    items = "".join(f'<property name="{name}" value="{value}"/>' for name, value in properties.items())
    return f"<configuration>{items}</configuration>".encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("13", 13),
        ("0.25", 0.25),
        ("true", True),
        ("off", "off"),
        ("on", "on"),
        ("none", "none"),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ("auto", "auto"),
        ("a: [", "a: ["),
        ("2026-01-02", "2026-01-02"),
        ("", None),
    ],
)
def test_values(text, value):
    assert parse_value(text) == value


def test_properties_become_a_configuration():
    settings = {
        "method": "gridding",
        "binning.spokes_per_frame": 13,
        "output.bits": 16,
        "max_idle_seconds": "1e2",
    }
    config = load_config(properties_of(configuration(**settings, **{"trajectory.correct_delay": "off"})))
    assert config.method == "gridding"
    assert config.binning.spokes_per_frame == 13
    assert config.output.bits == 16
    assert config.max_idle_seconds == 100
    assert config.trajectory.correct_delay == "off"


def test_an_element_and_both_ways_to_write_a_property():
    element = fromstring(
        "<configuration><property><name>method</name><value>grasp</value></property></configuration>"
    )
    assert properties_of(element) == {"method": "grasp"}


@pytest.mark.parametrize("text", [None, b"", b'<?xml version="1.0"?>\n<configuration/>\0', b" \n\0"])
def test_no_properties(text):
    assert properties_of(text) == {}


def test_names_of_the_gpu_chain():
    properties = properties_of(
        configuration(
            mode=2, profiles_per_frame=32, sliding_window_profiles=24, number_of_iterations=12, kappa=0.1
        )
    )
    assert properties == {
        "trajectory.mode": 2,
        "binning.spokes_per_frame": 32,
        "binning.step": 8,
        "options.iterations": 12,
        "options.regularisation": 0.1,
    }


def test_our_own_name_wins():
    properties = properties_of(configuration(profiles_per_frame=32, **{"binning.spokes_per_frame": 16}))
    assert properties == {"binning.spokes_per_frame": 16}


@pytest.mark.parametrize("kept", [32, 40, "many"])
def test_a_window_that_does_not_slide(kept):
    with pytest.raises(ConfigError, match="fewer than profiles_per_frame"):
        properties_of(configuration(profiles_per_frame=32, sliding_window_profiles=kept))


def test_a_property_without_value():
    with pytest.raises(ConfigError, match="method"):
        properties_of(b'<configuration><property name="method"/></configuration>')


@pytest.mark.parametrize(
    "text", [b"<configuration", b'<!DOCTYPE c [<!ENTITY a "b">]><c>&a;</c>'], ids=["malformed", "entities"]
)
def test_bad_xml(text):
    with pytest.raises(ConfigError, match="not valid XML"):
        properties_of(text)


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"binning\.spokes_per_frame"):
        load_config(properties_of(configuration(**{"binning.spokes_per_frme": 3})))
