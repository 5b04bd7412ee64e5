"""The README says what is true: its commands run, its tables and its example are those of the code."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess

import pytest
import torch

from gadgets.files.slices import read_slice
from python_recon.config import load_config, load_preset, preset_names
from python_recon.fitting.keeping import KeepingOptions
from python_recon.methods import gridding
from python_recon.methods.iconik import IconikOptions
from python_recon.methods.neural_kspace import FitOptions, NeuralKSpaceOptions
from python_recon.methods.registry import load_method
from python_recon.resources.schedule import Budget
from python_recon.stream.preparation import prepare_slice
from tests.readme import BIN, README, ROOT, blocks, commands, shell

ELSEWHERE = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make evaluate": "tests/end_to_end/test_readme_evaluation.py",
    "python3 -m venv /opt/": "tests/end_to_end/test_readme_installation.py",
    "/opt/gadgetron-pisco/bin/pip ": "tests/end_to_end/test_readme_installation.py",
    "cp /opt/gadgetron-pisco/": "tests/end_to_end/test_readme_installation.py",
    "PATH=/opt/gadgetron-pisco/": "tests/end_to_end/test_readme_installation.py",
    "gadgetron_ismrmrd_client ": "tests/end_to_end/test_readme_server.py",
    "gadgetron-pisco replay -a ": "tests/end_to_end/test_readme_server.py",
    "ismrmrd_hdf5_to_stream ": "tests/end_to_end/test_readme_server.py",
    "docker build ": "tests/docker/test_commands.py",
    "docker run ": "tests/docker/test_commands.py",
    "docker compose ": "tests/docker/test_commands.py",
    "kubectl ": "tests/docker/test_commands.py",
    "dask scheduler": "tests/end_to_end/test_readme_cluster.py",
    "dask worker ": "tests/end_to_end/test_readme_cluster.py",
    "gadgetron-pisco replay --scheduler ": "tests/end_to_end/test_readme_cluster.py",
    "gadgetron-pisco convert meas.dat ": "tests/gadgets/convert/test_twix.py",
    "gadgetron-pisco convert kspace.cfl ": "tests/gadgets/convert/test_bart.py",
    "gadgetron-pisco convert raw.mat ": "tests/gadgets/convert/test_arrays.py",
}
"""Commands that need more than a scan, by their beginning, and what runs them."""


@pytest.mark.timeout(900)
def test_the_commands_run_in_their_order(tmp_path):
    here = [line for line in commands() if not line.startswith(tuple(ELSEWHERE))]
    assert len(here) >= 10
    for line in here:
        shell(line, tmp_path)
    for name in ("images.h5", "report.html", "views", "comparison/comparison.png", "two_stage.h5"):
        assert (tmp_path / name).exists()


@pytest.mark.parametrize(("start", "path"), ELSEWHERE.items())
def test_what_is_run_elsewhere_is_in_the_readme_and_there(start, path):
    assert any(line.startswith(start) for line in commands())
    assert start.strip() in (ROOT / path).read_text()


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
