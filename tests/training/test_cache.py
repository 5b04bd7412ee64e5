from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.errors import ConfigError, DataError
from python_recon.resources import new_files
from python_recon.training import cache as cache_module
from python_recon.training.cache import Cache
from python_recon.training.examples import ExampleOptions
from tests.training.site import CONFIG, slice_of, source


def never():
    raise AssertionError("it was read")


def test_a_scan_is_prepared_once(cached, cache_folder):
    again = Cache(cache_folder, CONFIG, ExampleOptions(pairs=2, views=3))
    unread = [replace(source(number), read=never) for number in range(5)]
    assert again.examples(unread) == cached


def test_another_scan_or_setting_is_prepared_anew(cached, cache_folder):
    for sources, options in (
        ([replace(source(0), key="changed", read=never)], ExampleOptions(pairs=2, views=3)),
        ([replace(source(0), read=never)], ExampleOptions(pairs=3, views=3)),
    ):
        with pytest.raises(AssertionError, match="it was read"):
            Cache(cache_folder, CONFIG, options).examples(sources)


def test_an_example_holds_all_that_is_needed(cached):
    example = cached[0].load()
    assert example.scan == "scan 0"
    assert example.facts.model_dump() == {
        "encoding": "radial", "frames": 6, "spokes": 6, "matrix": 32, "coils": 3,
    }  # fmt: skip
    pair = example.pair(0)
    assert pair.start.components.shape == pair.loss.target.shape == example.own.shape == (6, 32, 32)
    assert example.views.shape == (3, 6, 32, 32)
    product = (example.own.conj() * example.gram(example.own)).sum()
    assert float(product.real) > 0
    assert abs(float(product.imag)) < 1e-4 * float(product.real)


def test_a_damaged_example_is_made_anew(tmp_path):
    cache = Cache(tmp_path, CONFIG, ExampleOptions(pairs=2))
    (one,) = cache.examples([source(0)])
    whole = one.load().own.clone()
    one.path.write_bytes(one.path.read_bytes()[:100])
    (again,) = cache.examples([source(0)])
    assert torch.equal(again.load().own, whole)


def test_what_cannot_be_learned_from_is_left_out_and_told(tmp_path, caplog):
    data = slice_of(1).data
    bad = {
        "NaN or Inf": replace(slice_of(1), data=np.where(np.arange(data.shape[-1]) == 3, np.nan, data)),
        "zero everywhere": replace(slice_of(1), data=np.zeros_like(data)),
    }
    cache = Cache(tmp_path, CONFIG, ExampleOptions(pairs=2))
    sources = [replace(source(0, [kspace]), name=f"{why}.h5", key=why) for why, kspace in bad.items()]
    assert [one.scan for one in cache.examples([*sources, source(0)])] == ["scan 0"]
    for why in bad:
        assert f"{why}.h5 is left out: the k-space" in caplog.text


def test_no_scan_at_all_is_an_error(tmp_path):
    cache = Cache(tmp_path, CONFIG, ExampleOptions(pairs=2))
    with pytest.raises(DataError, match="no scan to learn from"):
        cache.examples([])


def test_a_full_disk_is_told_with_the_cure(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "save_file", full)
    cache = Cache(tmp_path, CONFIG, ExampleOptions(pairs=2))
    with pytest.raises(ConfigError, match=r"No space left.*--cache"):
        cache.examples([source(0)])
    assert not list(tmp_path.rglob(f"*{new_files.part_path(tmp_path).suffix}"))
    monkeypatch.undo()
    assert len(cache.examples([source(0)])) == 1
