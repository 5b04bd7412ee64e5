"""The README's lines for a site: a fresh environment, the package in it, and a Gadgetron that finds both."""

from __future__ import annotations

import os
import sysconfig

import pytest

from tests.readme import ROOT, command, shell

AT = "/opt/gadgetron-pisco"
GADGETRON = "#!/bin/sh\nexec python -c 'import gadgets.radial as found; print(found.__file__)'\n"
"""Stands in for Gadgetron, which starts the first Python on its PATH with the module of a gadget."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment that ``python3 -m venv /opt/`` and ``/opt/gadgetron-pisco/bin/pip`` make, elsewhere.

    Nothing is fetched: what the package needs is lent by the environment of the tests.
    """
    folder = tmp_path_factory.mktemp("opt") / "gadgetron-pisco"
    shell(command("python3 -m venv /opt/", {AT: folder}), ROOT)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    offline = "install --no-deps --no-build-isolation --no-index"
    shell(command("/opt/gadgetron-pisco/bin/pip ", {AT: folder, "install": offline}), ROOT)
    return folder


@pytest.fixture
def programs(tmp_path):
    """A folder of programs with nothing but the stand-in for Gadgetron."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "gadgetron").write_text(GADGETRON)
    (folder / "gadgetron").chmod(0o755)
    return folder


def test_every_configuration_reaches_gadgetron(installed, tmp_path):
    place = tmp_path / "share/gadgetron/config"
    place.mkdir(parents=True)
    shell(command("cp /opt/gadgetron-pisco/", {AT: installed}), tmp_path, GADGETRON_HOME=str(tmp_path))
    expected = {path.name: path.read_bytes() for path in (ROOT / "configs_xml").glob("*.xml")}
    assert {path.name: path.read_bytes() for path in place.iterdir()} == expected


def test_gadgetron_finds_our_python_first(installed, programs):
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = shell(command("PATH=/opt/gadgetron-pisco/", {AT: installed}), programs, PATH=path)
    assert done.stdout.startswith(str(installed))


def test_what_was_installed_is_complete(installed, scan, tmp_path):
    """Presets, templates and configurations are among its files, not only those of the source folder."""
    program = installed / "bin/gadgetron-pisco"
    shell(f"{program} replay -f {scan} -c radial_preview -o images.h5 --report report.html", tmp_path)
    assert shell(f"{program} methods", tmp_path).stdout == shell("gadgetron-pisco methods", tmp_path).stdout
