from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import DataError
from python_recon.resources.schedule import Budget
from tests.numerics import as_numpy, run_method, scan_heart

NOISE = 0.1
FEW = {"learning_rate": 1e-2, "steps": 20, "channels": 8, "draws": 2, "judges": 1}
BOTH = ("zs_ssl", "zero_mirid")


@pytest.fixture(scope="module")
def scan():
    """8 frames of 5 spokes, matrix 40, 4 coils, much noise."""
    scan = scan_heart(8, 5, 4, (40, 40), noise=NOISE)
    return replace(scan, kspace=replace(scan.kspace, noise=NoiseLevel(NOISE, is_measured=True)))


@pytest.fixture(scope="module")
def start(scan):
    return run_method("subspace", scan.kspace, scan.maps)


def test_images_are_better_than_their_start(scan, start):
    result = run_method("zero_mirid", scan.kspace, scan.maps, channels=16, steps=80)
    (share,) = result.details["shares"]
    assert scan.psnr(result.images) > scan.psnr(start.images) + 0.1
    assert result.comment == f"subspace and {100 * share:.0f} % of what a network changes"


@pytest.mark.parametrize("loss", ["usual", "log", "combined", "mu_law", "hdr"])
def test_losses_of_samples_make_no_image_much_worse(scan, start, loss):
    """Few steps: what is asked is that the share is told and heeded."""
    result = run_method("zs_ssl", scan.kspace, scan.maps, **FEW, loss=loss)
    assert scan.psnr(result.images) > scan.psnr(start.images) - 0.2
    assert min(result.details["held_out"]) < result.details["held_out"][0]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("loss", ["density", "log"])
def test_held_out_spokes_teach_as_well(scan, start, name, loss):
    result = run_method(name, scan.kspace, scan.maps, **FEW, pairs="masks", loss=loss)
    assert scan.psnr(result.images) > scan.psnr(start.images) - 0.2
    assert np.isfinite(as_numpy(result.images)).all()


@pytest.mark.parametrize("name", BOTH)
def test_a_fit_begins_with_that_of_the_neighbouring_slice(scan, name):
    first = run_method(name, scan.kspace, scan.maps, **{**FEW, "steps": 60})
    after = run_method(name, scan.kspace, scan.maps, budget=Budget(start=first.state), **{**FEW, "steps": 60})
    assert after.details["losses"][0] < first.details["losses"][0]
    other = {**FEW, "channels": 4}
    anew = run_method(name, scan.kspace, scan.maps, budget=Budget(start=first.state), **other)
    alone = run_method(name, scan.kspace, scan.maps, **other)
    assert torch.equal(anew.images, alone.images)


def test_a_network_is_kept_and_begun_with(scan, tmp_path):
    path = tmp_path / "net.safetensors"
    first = run_method("zero_mirid", scan.kspace, scan.maps, **FEW, checkpoint=str(path))
    after = run_method("zero_mirid", scan.kspace, scan.maps, **FEW, model=str(path))
    again = run_method("zero_mirid", scan.kspace, scan.maps, budget=Budget(start=first.state), **FEW)
    assert torch.equal(after.images, again.images)
    assert after.details["losses"] != first.details["losses"]
    with pytest.raises(DataError, match="is of another kind or size"):
        run_method("zs_ssl", scan.kspace, scan.maps, **FEW, model=str(path))


def test_images_are_not_given_up_where_the_network_cannot_be_kept(scan, tmp_path):
    path = tmp_path / "missing" / "net.safetensors"
    path.parent.write_text("a file where the folder should be")
    result = run_method("zs_ssl", scan.kspace, scan.maps, **{**FEW, "steps": 2}, checkpoint=str(path))
    assert f"the network could not be saved to {path}" in result.comment
    assert np.isfinite(as_numpy(result.images)).all()


@pytest.mark.parametrize("content", [None, b"", b"not a network"])
def test_files_that_hold_no_network_are_refused(scan, tmp_path, content):
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"net\.safetensors"):
        run_method("zs_ssl", scan.kspace, scan.maps, **FEW, model=str(path))


def test_too_few_spokes_to_hold_any_out_are_told(scan):
    few = scan.kspace.frames(slice(0, 1))
    with pytest.raises(DataError, match="ask for fewer"):
        run_method("zs_ssl", few, scan.maps, **{**FEW, "draws": 16}, pairs="masks")
