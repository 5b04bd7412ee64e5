"""Fields that are saved, and fits that go on from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import Counters
from python_recon.errors import ConfigError, DataError
from python_recon.fitting.checkpoint import load
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.numerics import run_method

OURS = ["nik", "pisco", "pisco_dist"]
PAPERS = ["nik_paper", "pisco_paper", "pisco_dist_paper"]
SMALL = {"steps": 20, "batch": 256, "width": 32, "n_features": 64}


def run(name, scan, kspace=None, **options):
    return run_method(name, kspace or scan.kspace, scan.maps, **{**SMALL, **options})


@pytest.mark.parametrize("name", OURS + PAPERS)
def test_the_saved_field_renders_the_images(small_heart, tmp_path, name):
    path = tmp_path / "field.safetensors"
    result = run(name, small_heart, steps=2, checkpoint=str(path))
    loaded = load(path)
    images = torch.cat(list(loaded.fitted.render(np.array(loaded.origin.frame_times))))
    torch.testing.assert_close(images, result.images)
    assert resolve(name, loaded.options)[1].model_dump() == loaded.options
    assert "cannot be written" not in result.comment


def test_slices_after_the_first_have_their_number_in_the_name(small_heart, tmp_path):
    kspace = replace(small_heart.kspace, counters=Counters(slice=3))
    run("nik", small_heart, kspace, steps=1, checkpoint=str(tmp_path / "field.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["field_slice3.safetensors"]


def test_images_are_not_lost_where_the_field_cannot_be_saved(small_heart, tmp_path):
    path = tmp_path / "nowhere" / "field.safetensors"
    result = run("nik", small_heart, steps=1, checkpoint=str(path))
    assert "nowhere" in result.comment
    assert "cannot be written" in result.comment
    assert tuple(result.images.shape) == (6, 32, 32)


def test_a_start_without_a_judge_is_saved_as_well(small_heart, tmp_path):
    path = tmp_path / "field.safetensors"
    few = small_heart.kspace.frames(slice(0, 2))
    result = run("pisco", small_heart, few, checkpoint=str(path))
    assert result.comment.endswith("without a judge, the images are those of the subspace start")
    loaded = load(path)
    images = torch.cat(list(loaded.fitted.render(np.array(loaded.origin.frame_times))))
    torch.testing.assert_close(images, result.images)
    with pytest.raises(DataError, match="there is no fit to go on from"):
        run("pisco", small_heart, small_heart.kspace, resume=str(path))


def test_a_fit_goes_on_from_a_checkpoint(small_heart, tmp_path):
    path = str(tmp_path / "field.safetensors")
    options = {"steps": 60, "width": 64, "sigma": 2.0, "learning_rate": 1e-3, "held_out_share": 0.0}
    first = run("nik", small_heart, checkpoint=path, **options)
    resumed = run("nik", small_heart, resume=path, **options)
    pairs = list(zip(first.details["losses"], resumed.details["losses"], strict=True))
    assert len(pairs) > 2
    assert all(after < before for before, after in pairs)  # look by look


def test_a_checkpoint_of_another_scan_is_refused(small_heart, tmp_path):
    path = str(tmp_path / "field.safetensors")
    run("nik", small_heart, steps=1, checkpoint=path)
    other = replace(small_heart.kspace, measurement_id="another")
    with pytest.raises(DataError, match="it has measurement '', not 'another'"):
        run("nik", small_heart, other, resume=path)
    outcome = climb_down(
        other.to_torch(), small_heart.maps.to_torch(), "nik", {**SMALL, "resume": path}, Budget()
    )
    assert outcome.method == "subspace"
    assert "the checkpoint is of another scan" in outcome.comment


def test_a_field_that_was_added_to_a_start_is_none_by_itself(small_heart, tmp_path):
    path = str(tmp_path / "field.safetensors")
    run("pisco", small_heart, steps=1, checkpoint=path)
    with pytest.raises(DataError, match=r"another kind.* by neural_kspace with .*start 'subspace'.*; fit in"):
        run("nik", small_heart, resume=path)


@pytest.mark.parametrize("name", ["checkpoint", "resume"])
def test_other_files_than_safetensors_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} is '/etc/passwd'"):
        resolve("nik", {name: "/etc/passwd"})
