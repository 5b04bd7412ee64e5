"""The OpenRecon label is legal, and its parameters are settings."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jsonschema
import pytest

from gadgets.openrecon.label import LABEL_NAME, dockerfile, label, parameter_id, settings_of
from gadgets.serve.settings import config_of
from gadgets.wire.wire import Session
from python_recon.config import flat_keys, load_config
from python_recon.methods.registry import validate

SCHEMA = json.loads((Path(__file__).parents[3] / "docker/openrecon/schema_1.1.0.json").read_text())


@pytest.fixture(scope="module")
def parameters():
    """Parameters of the label by id."""
    return {each["id"]: each for each in label(vendor="site", can_use_gpu=False)["parameters"]}


def broken(change):
    """The label, changed; the schema's complaint about it."""
    content = label(vendor="site", can_use_gpu=False)
    change(content)
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.validate(content, SCHEMA)
    return caught.value.json_path


@pytest.mark.parametrize("can_use_gpu", [False, True])
def test_the_label_obeys_the_schema(can_use_gpu):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(label(vendor="site", can_use_gpu=can_use_gpu), SCHEMA)


def test_the_schema_refuses_what_scanners_refuse():
    assert broken(lambda content: content["parameters"].append(content["parameters"][0])) == "$.parameters"
    assert broken(lambda content: content["parameters"][0].update(id="a.b")) == "$.parameters[0]"
    assert broken(lambda content: content["general"].update(version="1")) == "$.general.version"
    assert (
        broken(lambda content: content["reconstruction"].update(injector="raw"))
        == "$.reconstruction.injector"
    )


def test_ids_are_unambiguous():
    keys = list(flat_keys())
    assert len({parameter_id(key) for key in keys}) == len(keys)
    assert parameter_id("binning.spokes_per_frame") == "binningSpokesPerFrame"


@pytest.mark.parametrize("key", [key for key in flat_keys() if key != "options"])
def test_every_setting_is_known_by_its_id(key):
    assert settings_of({parameter_id(key): "a value"}) == {key: "a value"}


def test_the_defaults_of_the_label_are_those_of_the_settings(parameters):
    settings = settings_of({name: each["default"] for name, each in parameters.items()})
    assert load_config(settings) == load_config()


def test_every_choice_is_a_value_that_the_settings_take(parameters):
    choices = {name: each["values"] for name, each in parameters.items() if "values" in each}
    assert {"method", "preview", "trajectoryMode"} <= choices.keys()
    for name, values in choices.items():
        for value in values:
            session = Session(None, config_file="openrecon", parameters={name: value["id"]})
            validate(config_of(session))


def test_numbers_reach_the_settings_from_end_to_end_of_their_range(parameters):
    numbers = {name: each for name, each in parameters.items() if "maximum" in each}
    assert {"maxReconSeconds", "matrix", "binningSpokesPerFrame"} <= numbers.keys()
    for name, each in numbers.items():
        for value in (each["minimum"], each["maximum"]):
            config_of(Session(None, config_file="openrecon", parameters={name: value}))


def test_what_a_scanner_sends():
    parameters = {"method": "gridding", "binningSpokesPerFrame": "21", "trajectoryMode": "2", "matrix": 0}
    config = config_of(Session(None, config_file="openrecon", parameters=parameters))
    assert (config.method, config.binning.spokes_per_frame) == ("gridding", 21)
    assert (config.trajectory.mode, config.matrix) == (2, None)


def test_parameters_that_are_not_set_leave_a_named_configuration_alone():
    parameters = {"config": "preview", "matrix": 0, "trajectoryMode": "unset"}
    config = config_of(Session(None, config_file="openrecon", parameters=parameters))
    assert config == config_of(Session(None, config_file="radial_preview.xml"))


def test_the_label_comes_back_from_the_dockerfile():
    content = label(vendor="site", can_use_gpu=False)
    base, line = dockerfile("gadgetron-pisco:cpu", content).splitlines()
    assert base == "FROM gadgetron-pisco:cpu"
    name, encoded = line.removeprefix("LABEL ").replace('"', "").split("=", 1)
    assert name == LABEL_NAME
    assert json.loads(base64.b64decode(encoded)) == content
