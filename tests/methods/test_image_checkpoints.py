"""Fields of images that are saved, and fits that go on from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.errors import DataError
from python_recon.fitting.checkpoint import load
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.numerics import relative_error, run_method

OPTIONS = {
    "subspace_inr": {"levels": 4, "width": 24, "steps": 40},
    "st_inr": {"levels": 4, "width": 24, "distillation_steps": 20, "steps": 20},
    "st_inr_paper": {
        "levels": 4,
        "base_resolution": 6,
        "log2_table_size": 12,
        "width": 24,
        "layers": 2,
        "steps": 12,
        "learning_rate": 1e-2,
    },
}


def run(name, scan, kspace=None, **options):
    return run_method(name, kspace or scan.kspace, scan.maps, **{**OPTIONS[name], **options})


@pytest.fixture(scope="module", params=OPTIONS)
def saved(request, small_heart, tmp_path_factory):
    """Method, file and what the fit gave."""
    path = tmp_path_factory.mktemp("fields") / "field.safetensors"
    return request.param, path, run(request.param, small_heart, checkpoint=str(path))


def test_the_saved_field_renders_the_images(saved):
    name, path, result = saved
    loaded = load(path)
    images = torch.cat(list(loaded.fitted.render(np.array(loaded.origin.frame_times))))
    torch.testing.assert_close(images, result.images)
    assert loaded.method == name
    assert resolve(name, loaded.options)[1].model_dump() == loaded.options
    unused = "the network does not improve held-out spokes: these are the images of its start"
    assert result.comment == ("" if any(result.details["shares"]) else unused)


def test_finer_pixels_go_through_those_of_the_scan(saved):
    _, path, result = saved
    loaded = load(path)
    times = np.array(loaded.origin.frame_times)[:2]
    fine = torch.cat(list(loaded.fitted.render(times, (64, 64))))
    assert relative_error(fine[:, ::2, ::2], result.images[:2]) < 0.05


def test_a_fit_goes_on_from_a_checkpoint(small_heart, saved):
    name, path, first = saved
    still = {"steps": 2, "learning_rate": 1e-9} | ({"distillation_steps": 1} if name == "st_inr" else {})
    resumed, anew = (run(name, small_heart, resume=file, **still) for file in (str(path), ""))
    assert resumed.details["losses"][0] < 1.5 * first.details["losses"][-1]
    assert resumed.details["losses"][0] < 0.9 * anew.details["losses"][0]


def test_a_checkpoint_of_another_scan_is_refused(small_heart, saved):
    name, path, _ = saved
    other = replace(small_heart.kspace, measurement_id="another")
    with pytest.raises(DataError, match="it has measurement '', not 'another'"):
        run(name, small_heart, other, resume=str(path))
    options = {**OPTIONS[name], "resume": str(path)}
    outcome = climb_down(other.to_torch(), small_heart.maps.to_torch(), name, options, Budget())
    assert outcome.method == "subspace"
    assert "the checkpoint is of another scan" in outcome.comment


def test_a_checkpoint_of_another_method_is_refused(small_heart, saved):
    name, path, _ = saved
    other = {"st_inr_paper": "subspace_inr"}.get(name, "st_inr_paper")
    with pytest.raises(DataError, match=f"another kind or size.* fitted by {name} with "):
        run(other, small_heart, resume=str(path))


def test_images_are_not_lost_where_the_field_cannot_be_saved(small_heart, tmp_path):
    result = run("subspace_inr", small_heart, steps=1, checkpoint=str(tmp_path / "no" / "field.safetensors"))
    assert "cannot be written" in result.comment
    assert tuple(result.images.shape) == (6, 32, 32)
