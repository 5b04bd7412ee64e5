"""The installed configurations: well-formed, complete, and valid for the gadgets that they name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from gadgets.replay.properties import properties_of
from python_recon.config import load_config
from python_recon.methods.registry import validate

FOLDER = Path(__file__).parents[3] / "configs_xml"
FILES = sorted(path for path in FOLDER.glob("*.xml") if not path.stem.endswith("_connect"))
TARGETS = {
    "gadgets.radial": "reconstruct",
    "gadgets.accumulate": "accumulate",
    "gadgets.recon_data": "reconstruct",
}


def externals(path):
    return parse(path).getroot().findall("stream/external")


def test_there_is_one_for_each_use():
    uses = ["buckets", "cg_sense", "grasp", "motion", "preview", "subspace", "two_stage_grasp", "xd_grasp"]
    uses += ["nik", "pisco", "iconik", "st_inr", "subspace_inr", "zs_ssl"]
    stacks = ["preview", "cg_sense", "grasp", "subspace", "xd_grasp", "pisco"]
    assert {f"stack_of_stars_{use}" for use in stacks} <= {path.stem for path in FILES}
    assert {f"radial_{use}" for use in uses} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_frame(path):
    root = parse(path).getroot()
    assert root.tag == "configuration"
    assert root.findtext("version") == "2"
    assert [item.text for item in root.findall("readers/reader/classname")] == [
        "AcquisitionReader",
        "WaveformReader",
    ]
    assert [item.text for item in root.findall("writers/writer/classname")] == ["ImageWriter"]
    assert "<!--" in path.read_text(), "says what it is for"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_targets_exist(path):
    nodes = externals(path)
    assert nodes
    for node in nodes:
        execute = node.find("execute")
        assert execute.get("type") == "python"
        target = getattr(importlib.import_module(execute.get("name")), execute.get("target"))
        assert callable(target)
        assert TARGETS[execute.get("name")] == execute.get("target")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_properties_are_valid(path):
    for node in externals(path):
        validate(load_config(properties_of(node.find("configuration"))))
