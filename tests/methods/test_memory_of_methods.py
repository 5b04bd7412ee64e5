"""What methods say that they need of memory, by their options, against what is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.methods.registry import resolve
from python_recon.resources.memory import Size
from python_recon.resources.schedule import Budget
from python_recon.resources.usage import measure
from tests.numerics import scan_heart
from tests.resources.test_memory import slice_of

SMALL, LARGE = Size(8, 4, 8, 96, (48, 48)), Size(16, 6, 13, 192, (96, 96))
ONE_STEP = {
    "nik": {"steps": 1, "batch": 16_384, "width": 128},
    "pisco": {"steps": 1, "batch": 8192, "width": 512},
    "nik_paper": {"steps": 1, "layers": 4, "width": 256},
    "pisco_paper": {"steps": 1, "batch": 2000, "pisco_from": 0.0},
    "pisco_dist_paper": {"steps": 1, "batch": 4000, "pisco_from": 0.0},
    "iconik": {"steps": 1, "calibration_steps": 1, "refinement_steps": 1, "neighbourhoods": 1024},
    "subspace_inr": {"steps": 1, "width": 256, "log2_table_size": 12},
    "st_inr_paper": {"steps": 1},
    "zs_ssl": {"steps": 1, "channels": 128},
    "zero_mirid": {"steps": 1, "channels": 128},
    "zs_ssl_paper": {"epochs": 1, "splits": 1, "unrolls": 2},
    "zero_mirid_paper": {"epochs": 1, "splits": 1, "unrolls": 2},
}


def measured_mb(method, kspace, maps, options):
    def work():
        with torch.no_grad():
            result = method.run(kspace, maps, options, Budget())
            return [*result.later]

    return measure(work)[1].peak_memory_mb


@pytest.mark.parametrize("name", ONE_STEP)
def test_estimates_follow_the_options(name):
    """Within the factor that test_memory allows, and the allocator asks for."""
    size = SMALL if name.endswith("_paper") else LARGE
    kspace, maps = slice_of(size)
    times = 0.003 * np.arange(size.n_frames * size.n_spokes).reshape(size.n_frames, -1)
    method, options = resolve(name, ONE_STEP[name])
    measured = measured_mb(method, replace(kspace, spoke_times_s=times), maps, options)
    assert 0.4 < method.memory(size, options) / 2**20 / measured < 2.5


def test_phases_and_states_count_as_frames():
    scan = scan_heart(60, 8, 4, (64, 64), spacing_s=0.025, truth_every=60)
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch()
    method, options = resolve("xd_grasp", {"iterations": 1})
    needs = method.memory(Size.of(kspace), options) / 2**20
    assert 0.4 < needs / measured_mb(method, kspace, maps, options) < 2.5


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("nik", {"batch": 1 << 16}),
        ("nik", {"width": 1024}),
        ("nik", {"layers": 12, "batch": 1 << 15}),
        ("pisco_paper", {"pisco_sets": 60}),
        ("iconik", {"neighbourhoods": 4096}),
        ("iconik_paper", {"width": 1024}),
        ("st_inr", {"width": 512}),
        ("st_inr_paper", {"log2_table_size": 24}),
        ("zs_ssl", {"channels": 256}),
        ("zs_ssl", {"pairs": "masks"}),
        ("zs_ssl_paper", {"unrolls": 20}),
        ("xd_grasp", {"cardiac_phases": 50}),
    ],
)
def test_more_of_anything_needs_more(name, changes):
    (method, usual), (_, more) = resolve(name, {}), resolve(name, changes)
    assert method.memory(LARGE, more) > 1.3 * method.memory(LARGE, usual)
