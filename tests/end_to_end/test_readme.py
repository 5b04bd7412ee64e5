"""The README says what is true: its commands run, its tables and its example are those of the code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gadgets.slices import read_slice
from python_recon.chain import prepare_slice
from python_recon.config import load_config, load_preset, preset_names
from python_recon.fields.keeping import KeepingOptions
from python_recon.methods import gridding
from python_recon.methods.iconik import IconikOptions
from python_recon.methods.neural_kspace import FitOptions, NeuralKSpaceOptions
from python_recon.methods.registry import load_method
from python_recon.schedule import Budget

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent

ELSEWHERE = {
    "make demo": "run by .ci/run",
    "make test": "run by .ci/run",
    "make evaluate": "takes long; see tests/gadgets/cli/test_comparing.py",
    "python3 -m venv /opt/": "needs the scanner's computer",
    "/opt/gadgetron-pisco/bin/pip ": "needs the scanner's computer",
    "cp /opt/gadgetron-pisco/": "needs a Gadgetron installation",
    "PATH=/opt/gadgetron-pisco/": "needs a Gadgetron installation",
    "gadgetron_ismrmrd_client ": "needs a Gadgetron server",
    "gadgetron-pisco replay -a ": "needs a Gadgetron server; see tests/gadgets/cli/test_replay.py",
    "docker build ": "needs Docker; its files are checked in tests/docker",
    "docker run ": "needs Docker and the image",
    "docker compose ": "needs Docker, and a GPU",
    "kubectl ": "needs a cluster; the manifests are checked in tests/docker",
    "dask ": "needs a cluster; see tests/gadgets/many/test_cluster.py",
    "gadgetron-pisco replay --scheduler ": "needs a cluster; see tests/gadgets/many/test_cluster.py",
    "gadgetron-pisco convert ": "needs raw data; see tests/gadgets/convert",
    "ismrmrd_hdf5_to_stream ": "needs ISMRMRD's own tools; see tests/gadgets/cli/test_replay.py",
}
"""Commands that are not run here, by their beginning, and why."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_the_commands_run_in_their_order(tmp_path):
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    here = [command for command in commands() if not command.startswith(tuple(ELSEWHERE))]
    assert len(here) >= 10
    for command in here:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    for name in ("images.h5", "report.html", "views", "comparison/comparison.png", "two_stage.h5"):
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("start", ELSEWHERE)
def test_what_is_run_elsewhere_is_in_the_readme(start):
    assert any(command.startswith(start) for command in commands())


def test_the_settings_are_those_of_the_code():
    table = subprocess.run(
        [BIN / "gadgetron-pisco", "config", "table"], capture_output=True, text=True, check=True
    ).stdout
    marked = re.search(r"<!-- settings: .* -->\n(.*)<!-- end of settings -->", README, re.DOTALL)
    assert marked
    assert marked[1] == table, "paste the output of `gadgetron-pisco config table` between the markers"


@pytest.mark.parametrize("name", preset_names())
def test_the_methods_are_those_of_the_code(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    _, _, _, options, _, reference, _ = (cell.strip() for cell in row.split("|"))
    preset = load_preset(name)
    fields = load_method(preset.implementation).options.model_fields
    values, none = dict(preset.config.get("options", {})), "none of its own"
    if not issubclass(load_method(preset.implementation).options, FitOptions):
        own = {key: field.default for key, field in fields.items() if key not in KeepingOptions.model_fields}
        values, none = own | values, "none"
    assert options == (", ".join(f"`{key}` {json.dumps(value)}" for key, value in values.items()) or none)
    assert reference == preset.reference


def test_the_options_of_the_fits_are_those_of_the_code():
    marked = re.search(r"<!-- options of the fits -->\n(.*)<!-- end of options -->", README, re.DOTALL)
    assert marked
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in marked[1].splitlines()[2:]]
    fields = NeuralKSpaceOptions.model_fields | IconikOptions.model_fields
    expected = {
        f"`{key}`": [f"`{json.dumps(field.default)}`", " ".join(field.description.split())]
        for key, field in fields.items()
    }
    assert {option: [default, meaning] for option, _, default, meaning in rows} == expected


@pytest.mark.parametrize("path", sorted((ROOT / "configs_xml").glob("*.xml")), ids=lambda path: path.stem)
def test_the_configurations_are_listed(path):
    assert f"`{path.name}`" in README


def test_the_added_method_works(scan, tmp_path):
    (code,) = blocks("python")
    (tmp_path / "sliding_mean.py").write_text(code)
    spec = importlib.util.spec_from_file_location("sliding_mean", tmp_path / "sliding_mean.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = load_config({"coils.maps": "walsh"})
    kspace, maps = prepare_slice(read_slice(scan, "dataset", 0, config), config)
    images = module.METHOD.run(kspace, maps, module.METHOD.options(neighbours=1), Budget()).images
    frames = gridding.run(kspace, maps, gridding.GriddingOptions(), Budget()).images
    expected = torch.stack([(frames[0] + frames[1]) / 2, frames.mean(0), (frames[1] + frames[2]) / 2])
    torch.testing.assert_close(images, expected)
