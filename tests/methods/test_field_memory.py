"""Fits of fields when memory runs out: a smaller fit, and the images of the method that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.fields.hash_grid import HashGrid
from python_recon.fields.siren import Siren
from python_recon.fitting.checkpoint import load
from tests.numerics import run_method


@pytest.fixture
def scarce(monkeypatch):
    """Lets a module fail, as CUDA does, when it is asked for more than so many values."""

    def limit(module, most):
        whole = module.forward

        def forward(self, x, *arguments):
            result = whole(self, x, *arguments)
            if result.numel() > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return result

        monkeypatch.setattr(module, "forward", forward)

    return limit


@pytest.mark.parametrize(("name", "n_features"), [("subspace_inr", 4), ("st_inr", 8)])
def test_levels_shrink(small_heart, scarce, name, n_features, tmp_path):
    scarce(HashGrid, 32 * 32 * 4 * n_features)
    path = tmp_path / "field.safetensors"
    few = {"steps": 2, "width": 16, "checkpoint": str(path)}
    few |= {"distillation_steps": 2} if name == "st_inr" else {}
    result = run_method(name, small_heart.kspace, small_heart.maps, **few)
    assert "levels 4 instead of 6, log2_table_size 16 instead of 18, to fit into memory" in result.comment
    assert result.details["steps"] == 2
    assert torch.isfinite(torch.view_as_real(result.images)).all()
    loaded = load(path)
    assert loaded.options["levels"] == 4
    images = torch.cat(list(loaded.fitted.render(np.array(loaded.origin.frame_times))))
    torch.testing.assert_close(images, result.images)


def test_the_batch_of_the_published_field_shrinks_before_its_levels(small_heart, scarce):
    scarce(HashGrid, 4 * 32 * 32 * 2 * 4)
    few = {"steps": 2, "levels": 4, "base_resolution": 6, "log2_table_size": 12, "width": 16, "layers": 2}
    result = run_method("st_inr_paper", small_heart.kspace, small_heart.maps, **few)
    assert result.comment == "batch 4096 instead of 2097152, to fit into memory"


@pytest.mark.parametrize("name", ["nik", "pisco"])
def test_the_batch_shrinks(small_heart, monkeypatch, name):
    whole = Siren.forward

    def forward(self, x):
        if torch.is_grad_enabled() and len(x) in (2048, 1024):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return whole(self, x)

    monkeypatch.setattr(Siren, "forward", forward)
    result = run_method(name, small_heart.kspace, small_heart.maps, steps=2, width=16, n_features=32)
    assert "batch 512 instead of 2048, to fit into memory" in result.comment
    assert tuple(result.images.shape) == (6, 32, 32)


@pytest.mark.cuda
def test_a_gpu_with_little_memory_gives_the_images_of_a_smaller_fit(small_heart):
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(0.9 * free, 700e6) / total)
    try:
        result = run_method("nik", small_heart.kspace, small_heart.maps, "cuda", steps=3, batch=1 << 19)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "to fit into memory" in result.comment
    assert torch.isfinite(torch.view_as_real(result.images)).all()
