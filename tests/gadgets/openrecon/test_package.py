"""Packages for OpenRecon, from an image as Docker saves it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.openrecon.label import LABEL_NAME, label
from gadgets.openrecon.package import pack, read_label
from python_recon.errors import ConfigError


@pytest.fixture
def save(tmp_path):
    """Writes the tar of an image: its manifest, its configuration, and nothing else."""

    def write(labels, **others):
        config = {"config": {"Labels": labels}}
        files = {"manifest.json": [{"Config": "abc.json"}], "abc.json": config, **others}
        with tarfile.open(tmp_path / "image.tar", "w") as archive:
            for name, content in files.items():
                data = json.dumps(content).encode()
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return tmp_path / "image.tar"

    return write


@pytest.fixture
def labels():
    content = label(vendor="mysite", can_use_gpu=False)
    return {LABEL_NAME: base64.b64encode(json.dumps(content).encode()).decode()}


def test_the_package_holds_image_and_document_by_the_name_of_the_label(save, labels, tmp_path):
    image = save(labels)
    package = pack(image, tmp_path / "new" / "folder")
    name = f"OpenRecon_mysite_gadgetronpisco_V{version('gadgetron-pisco')}"
    assert package == tmp_path / "new" / "folder" / f"{name}.zip"
    with zipfile.ZipFile(package) as archive:
        assert archive.namelist() == [f"{name}.tar", f"{name}.pdf"]
        assert archive.read(f"{name}.tar") == image.read_bytes()
        document = archive.read(f"{name}.pdf")
    assert document.startswith(b"%PDF-")
    assert document.rstrip().endswith(b"%%EOF")


def test_images_without_a_label_are_refused(save, tmp_path):
    with pytest.raises(ConfigError, match="no saved image with an OpenRecon label"):
        read_label(save({}))
    with pytest.raises(ConfigError, match="no saved image with an OpenRecon label"):
        read_label(save(None))
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        read_label(tmp_path / "missing.tar")


def test_images_of_newer_dockers_are_refused(save, labels):
    with pytest.raises(ConfigError, match="Docker 25 or later"):
        read_label(save(labels, **{"oci-layout": {}}))


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["openrecon", *map(str, arguments)])

    def test_label(self):
        assert json.loads(self.run("label", "--vendor", "mysite").stdout) == label(
            vendor="mysite", can_use_gpu=False
        )

    def test_dockerfile(self):
        lines = self.run("dockerfile", "gadgetron-pisco:cpu").stdout.splitlines()
        assert lines[0] == "FROM gadgetron-pisco:cpu"
        assert lines[1].startswith(f'LABEL "{LABEL_NAME}"="')
        assert len(lines) == 2

    def test_package(self, save, labels, tmp_path):
        done = self.run("package", save(labels), tmp_path)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.strip().endswith(".zip")

    def test_vendors_that_make_no_file_name(self):
        assert "letters and digits" in self.run("label", "--vendor", "My Site").stderr

    @pytest.mark.parametrize(
        ("cuda", "text"), [(None, "built for the CPU"), ("12.8", "built for CUDA 12.8"), ("11.8", "")]
    )
    def test_gpu_images_have_an_old_cuda(self, monkeypatch, cuda, text):
        monkeypatch.setattr("torch.version.cuda", cuda)
        done = self.run("label", "--gpu")
        assert (done.exit_code != 0) == bool(text)
        assert text in done.stderr
