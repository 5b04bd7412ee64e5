"""BART's arrays as scans."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.readme import command

KNOWN = ("--field-of-view", 160)


def write_cfl(base: Path, array: np.ndarray) -> Path:
    """Store an array with BART's dimensions."""
    sizes = [*array.shape, *[1] * (16 - array.ndim)]
    base.with_name(f"{base.name}.hdr").write_text(f"# Dimensions\n{' '.join(map(str, sizes))}\n")
    array.astype(np.complex64).ravel(order="F").tofile(base.with_name(f"{base.name}.cfl"))
    return base


@pytest.fixture
def files(blob, tmp_path) -> tuple[Path, Path]:
    """k-space (1, readout, spoke, coil, ..., frame) and trajectory (3, readout, spoke, ..., frame)."""
    data = blob.data.transpose(3, 2, 1, 0)[(None, ..., *[None] * 6, slice(None))]
    kz = np.zeros_like(blob.trajectory[..., :1])
    places = np.concatenate([blob.trajectory, kz], axis=-1).transpose(3, 2, 1, 0)
    return write_cfl(tmp_path / "ksp", data), write_cfl(
        tmp_path / "traj", places[(..., *[None] * 7, slice(None))]
    )


@pytest.mark.parametrize("suffix", ["", ".cfl", ".hdr"])
def test_frames_coils_and_spokes_find_their_places(convert, check_blob, files, tmp_path, suffix):
    kspace, trajectory = files
    source, target = kspace.with_name(f"ksp{suffix}"), tmp_path / "scan.h5"
    result = convert(source, target, "--trajectory", trajectory, *KNOWN)
    assert result.exit_code == 0, result.stderr
    assert "68 readouts" in result.stdout
    check_blob(target)


def test_the_line_in_the_readme(convert, check_blob, files, tmp_path, monkeypatch):
    for suffix in ("cfl", "hdr"):
        files[0].with_name(f"ksp.{suffix}").rename(tmp_path / f"kspace.{suffix}")
    monkeypatch.chdir(tmp_path)
    result = convert(*shlex.split(command("gadgetron-pisco convert kspace.cfl "))[2:])
    assert result.exit_code == 0, result.stderr
    check_blob(tmp_path / "kspace.h5")


def test_golden_angles_need_the_matrix(convert, check_blob, files, tmp_path):
    target = tmp_path / "scan.h5"
    assert "--matrix" in convert(files[0], target, *KNOWN).stderr
    assert convert(files[0], target, *KNOWN, "--matrix", 32).exit_code == 0
    check_blob(target)


def test_other_dimensions_and_torn_files_are_refused(convert, files, tmp_path):
    target = tmp_path / "scan.h5"
    echoes = write_cfl(tmp_path / "echoes", np.ones((1, 8, 4, 2, 1, 5), complex))
    assert "dimensions 5" in " ".join(convert(echoes, target, *KNOWN, "--matrix", 8).stderr.split())
    data = files[0].with_name("ksp.cfl")
    data.write_bytes(data.read_bytes()[:-8])
    assert "holds" in convert(files[0], target, *KNOWN, "--matrix", 32).stderr
    files[0].with_name("ksp.hdr").unlink()
    assert "there is no file" in convert(data, target, *KNOWN, "--matrix", 32).stderr
    assert not target.exists()


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not on PATH")
def test_barts_own_phantom_lies_as_in_barts_own_image(convert, images_of, tmp_path):
    def bart(*words: str) -> None:
        subprocess.run(["bart", *words], cwd=tmp_path, check=True, capture_output=True)

    bart("traj", "-x", "64", "-y", "101", "-r", "-G", "t")
    bart("phantom", "-k", "-t", "t", "k")
    bart("phantom", "-x", "64", "i")
    target = tmp_path / "scan.h5"
    assert convert(tmp_path / "k.cfl", target, "--trajectory", tmp_path / "t", *KNOWN).exit_code == 0
    image = images_of(target, **{"binning.spokes_per_frame": 101})[0]
    truth = abs(np.fromfile(tmp_path / "i.cfl", np.complex64).reshape(64, 64))  # BART's x varies fastest
    assert image.shape == truth.shape

    def likeness(other: np.ndarray) -> float:
        return float(np.corrcoef(image.ravel(), other.ravel())[0, 1])

    turned = [truth[::-1], truth[:, ::-1], truth[::-1, ::-1], truth.T]
    assert likeness(truth) > 0.75
    assert likeness(truth) > 0.2 + max(map(likeness, turned))
