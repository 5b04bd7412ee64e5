"""The pages say what is true: their commands and examples run, their tables are those of the code."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from gadgets.files.slices import read_slice
from python_recon.config import load_config, preset_names
from python_recon.methods import gridding
from python_recon.resources.schedule import Budget
from python_recon.stream.preparation import prepare
from tests.readme import ALL, PAGES, ROOT, TEXTS, blocks, command, commands, shell
from tests.tables import library_page

ELSEWHERE = {
    "make demo": ".ci/run",
    "make lint": ".ci/run",
    "make test": ".ci/run",
    "make EVALUATE=short evaluate": "tests/end_to_end/test_readme_evaluation.py",
    "make evaluate": "tests/end_to_end/test_readme_evaluation.py",
    "python3 -m venv /opt/": "tests/end_to_end/test_readme_installation.py",
    "/opt/gadgetron-pisco/bin/pip ": "tests/end_to_end/test_readme_installation.py",
    "cp /opt/gadgetron-pisco/": "tests/end_to_end/test_readme_installation.py",
    "PATH=/opt/gadgetron-pisco/": "tests/end_to_end/test_readme_installation.py",
    "gadgetron_ismrmrd_client ": "tests/end_to_end/test_readme_server.py",
    "gadgetron-pisco replay -a ": "tests/end_to_end/test_readme_server.py",
    "ismrmrd_hdf5_to_stream ": "tests/end_to_end/test_readme_server.py",
    "docker/openrecon/package ": "tests/docker/test_commands.py",
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


SMALL = "--matrix 48 --coils 8 --frames 6 --spokes-per-frame 13 --noise-scan --texture 0.1"
SMALL_STILL = "--matrix 48 --coils 4 --frames 1 --spokes-per-frame 21 --contraction 0 --breathing 0"
"""Take the place of the demonstration's scans."""
LEFT = {
    "README.md": ["images.h5", "report.html", "views", "dicom", "images.nii.gz", "comparison/comparison.png"],
    "gadgets/README.md": [
        "small_truth.h5",
        "object.h5",
        "two_stage.h5",
        "films",
        "fine.h5",
        "crop.h5",
        "many/small.h5",
    ],
    "configs_xml/README.md": ["scanner.h5", "scanner.html"],
    "python_recon/README.md": ["smooth.h5", "beat.h5"],
}
"""Some of what the commands of a page leave behind."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with ``demo_output``, as ``make demo`` leaves it, and the environment that it installs.

    Nothing is installed: ``-o`` tells make that the environment of the tests is up to date.
    """
    folder, environment = tmp_path_factory.mktemp("demo"), Path(sys.prefix)
    variables = f"VENV={environment} OUT={folder / 'demo_output'} DEMO='{SMALL}' STILL='{SMALL_STILL}'"
    line = f"{command('make demo')} -o {environment / '.installed'} {variables}"
    done = shell(line, ROOT, MAKEFLAGS="", MAKEOVERRIDES="")
    (folder / ".venv").symlink_to(environment)
    return folder, done.stdout


def test_the_demonstration_leaves_what_it_says(demo):
    folder, said = demo
    for name in ("scan.h5", "fast.h5", "strong.h5", "still.h5", "fast", "strong", "still", "report.html"):
        assert (folder / "demo_output" / name).exists()
        assert name == "scan.h5" or f"demo_output/{name}" in said


@pytest.mark.timeout(1200)
def test_the_commands_of_all_pages_run_in_their_order(demo, tmp_path):
    """After ``make demo`` and nothing else, page after page in one folder."""
    here = tmp_path / "here"
    shutil.copytree(demo[0], here, symlinks=True)
    for page, left in LEFT.items():
        for line in commands(TEXTS[page]):
            if not line.startswith(tuple(ELSEWHERE)):
                shell(line, here)
        for name in left:
            assert (here / name).exists(), f"{page}: {name}"


def test_every_command_is_run_somewhere():
    typed = [line for page in PAGES if page not in LEFT for line in commands(TEXTS[page])]
    there = [line for line in typed if not line.startswith((*ELSEWHERE, *OF_AN_ADMINISTRATOR))]
    assert not there, "a page of its own in LEFT, or a line in ELSEWHERE"


OF_AN_ADMINISTRATOR = ("docker create ", "sudo ", "mkdir chroot ", "echo ")
"""A chroot is made by root, from an image; ``tests/docker`` looks at what it starts."""


@pytest.mark.parametrize(("start", "path"), ELSEWHERE.items())
def test_what_is_run_elsewhere_is_on_a_page_and_there(start, path):
    assert any(line.startswith(start) for line in commands())
    assert start.strip() in (ROOT / path).read_text()


@pytest.mark.parametrize("page", ["README.md", "python_recon/README.md"])
def test_the_examples_in_python_run_in_their_order(page, demo, monkeypatch, capsys):
    monkeypatch.chdir(demo[0])
    names: dict = {}
    for block in blocks("python", TEXTS[page]):
        # The scan of the test is smaller than that of the demonstration.
        exec(block.replace("128", "48").replace(" / 64", " / 24"), names)
    assert "grasp" in names["methods"]()
    assert names["series"].images.shape == (6, 48, 48)
    assert capsys.readouterr().out


def test_the_front_page_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 160


def test_links_lead_somewhere():
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("http"):
                continue
            path, _, anchor = target.partition("#")
            linked = (ROOT / page).parent / path if path else ROOT / page
            assert linked.exists(), f"{page} links to {target}"
            assert not anchor or anchor in anchors(linked.read_text()), f"{page} links to {target}"


def anchors(text):
    """As GitHub makes them of headings."""
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


def test_tables_are_those_of_the_code():
    page = TEXTS["python_recon/README.md"]
    assert page == library_page(page), "python -m tests.tables writes them anew"


@pytest.mark.parametrize("name", preset_names())
def test_every_method_is_described(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", TEXTS["python_recon/README.md"], re.MULTILINE)
    assert all(cell.strip() for cell in row.split("|")[1:-1])
    on_front_page = re.findall(rf"^\| `{name}` \|", TEXTS["README.md"], re.MULTILINE)
    assert len(on_front_page) == (not name.endswith("_paper") and name != "pisco_dist")


@pytest.mark.parametrize("path", sorted((ROOT / "configs_xml").glob("*.xml")), ids=lambda path: path.stem)
def test_the_configurations_are_listed(path):
    assert f"`{path.name}`" in TEXTS["configs_xml/README.md"]


def test_the_added_method_works(scan, tmp_path):
    (code,) = (block for block in blocks("python", ALL) if "METHOD =" in block)
    (tmp_path / "sliding_mean.py").write_text(code)
    spec = importlib.util.spec_from_file_location("sliding_mean", tmp_path / "sliding_mean.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = load_config({"coils.maps": "walsh"})
    prepared = prepare(read_slice(scan, "dataset", 0, config), config, Budget())
    images = module.METHOD.run(
        prepared.kspace, prepared.maps, module.METHOD.options(neighbours=1), Budget()
    ).images
    frames = gridding.run(prepared.kspace, prepared.maps, gridding.GriddingOptions(), Budget()).images
    expected = torch.stack([(frames[0] + frames[1]) / 2, frames.mean(0), (frames[1] + frames[2]) / 2])
    torch.testing.assert_close(images, expected)
