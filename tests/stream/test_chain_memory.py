"""Memory and parts through the whole chain, as at the scanner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.config import Section, load_config
from python_recon.data import FINAL_SERIES
from python_recon.errors import BackendError
from python_recon.methods import gridding, registry
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources import device
from python_recon.resources.memory import MemoryLimits, series_need
from python_recon.resources.schedule import Budget
from python_recon.stream import chain, preparation
from python_recon.stream.chain import reconstruct_slice, reconstruct_stream
from tests.heart_stream import COILS, FRAMES, MATRIX, SCAN, readouts


class NoOptions(Section):
    """Nothing to set."""


def instead_of_grasp(monkeypatch, run, need=series_need) -> None:
    load = registry.load_method
    method = Method(run, NoOptions, need)
    monkeypatch.setattr(registry, "load_method", lambda name: method if name == "grasp" else load(name))


def gridded(kspace, maps):
    return gridding.run(kspace, maps, gridding.GriddingOptions(), Budget()).images


def series_of(**settings):
    config = load_config({"method": "grasp", "preview": "none", **settings})
    return list(reconstruct_stream(readouts(), SCAN, config))


def test_images_leave_as_they_are_rendered(monkeypatch):
    made = []

    def run(kspace, maps, _options, _budget):
        images = gridded(kspace, maps)

        def later():
            for start in (2, 4):
                made.append(start)
                yield images[start : start + 2]

        return Reconstruction(images[:2], later=later())

    instead_of_grasp(monkeypatch, run)
    parts = series_of(**{"output.coil_maps": True})
    (whole,) = series_of(method="gridding")
    assert made == [2, 4]
    assert [(each.first_frame, each.n_frames) for each in parts] == [(0, 2), (2, 2), (4, 1)]
    assert [each.series_index for each in parts] == [FINAL_SERIES] * 3
    np.testing.assert_array_equal(np.concatenate([each.images for each in parts]), whole.images)
    np.testing.assert_array_equal(np.concatenate([each.times_s for each in parts]), whole.times_s)
    assert [each.coil_maps is None for each in parts] == [False, True, True], "sent once"


def frames_of_a_scan(config):
    from python_recon.acquisition.binning.binning import bin_frames, stack_frames

    located = chain.prepare_readouts(readouts(), SCAN, config)
    return stack_frames(list(bin_frames(located, SCAN, config.binning, (MATRIX, MATRIX))))


def test_a_slice_on_its_own_is_put_together_again(monkeypatch):
    def run(kspace, maps, _options, _budget):
        images = gridded(kspace, maps)
        return Reconstruction(images[:3], later=iter([images[3:]]))

    instead_of_grasp(monkeypatch, run)
    config = load_config({"method": "grasp"})
    kspace = replace(frames_of_a_scan(config), comment="gated")
    series = reconstruct_slice(kspace, config, "grasp")
    assert (series.n_frames, series.first_frame, series.comment) == (FRAMES, 0, "gated")
    np.testing.assert_array_equal(series.times_s, kspace.times_s)


def test_where_memory_is_short_fewer_coils_are_used_and_it_is_told(monkeypatch):
    """Each coil but one is allowed for."""

    def run(kspace, maps, _options, _budget):
        assert kspace.n_coils == 5
        return Reconstruction(gridded(kspace, maps))

    instead_of_grasp(monkeypatch, run, lambda size, _options: 1e9 * size.n_coils)
    many = (replace(r, data=np.concatenate([r.data, 0.3 * r.data[::-1]])) for r in readouts())
    config = load_config({"method": "grasp", "preview": "none", "max_host_gb": 5.5, "coils.virtual": 6})
    (series,) = reconstruct_stream(many, SCAN, config)
    assert series.comment == "5 virtual coils instead of 6, to fit into memory"
    assert series.details["virtual_coils"] == 5


def test_a_gpu_that_cannot_even_prepare_the_slice_leaves_it_to_the_cpu(monkeypatch):
    """The memory of this GPU is spent when the coil maps are estimated."""
    places, estimate = [], preparation.estimate

    def set_up(config):
        places.append("cpu" if config.device == "cpu" else "meta")
        return places[-1]

    def on_a_full_gpu(kspace, config):
        if kspace.data.device.type == "meta":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return estimate(kspace, config)

    monkeypatch.setattr(device, "set_up", set_up)
    monkeypatch.setattr(preparation, "estimate", on_a_full_gpu)
    (series,) = series_of(method="cg_sense")
    assert places == ["meta", "cpu"]
    assert series.method == "cg_sense"
    assert series.comment == "the GPU has too little memory for the slice: done on the CPU"


def test_a_slice_that_the_host_cannot_hold_is_told_and_not_begun():
    config = load_config({"method": "cg_sense"})
    budget = Budget(memory=MemoryLimits(host=1e5))
    with pytest.raises(BackendError, match=r"to prepare the slice takes 1 MB.*max_host_gb"):
        reconstruct_slice(frames_of_a_scan(config), config, "cg_sense", budget)
    assert COILS == 4
