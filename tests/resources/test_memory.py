"""What a slice needs of memory, what there is, and what is said where it does not fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.config import load_config
from python_recon.data import CoilMaps, KSpace, NoiseLevel
from python_recon.errors import BackendError, ConfigError, DataError
from python_recon.methods.registry import resolve
from python_recon.resources import memory
from python_recon.resources.memory import GB, MemoryLimits, Size, coils_that_fit, is_out_of_memory, told
from python_recon.resources.schedule import Budget
from python_recon.resources.usage import measure
from tests.numerics import complex_noise, golden_spokes, ramp_density

SIZES = [Size(16, 6, 13, 192, (96, 96)), Size(24, 10, 13, 256, (128, 128))]
ONE_STEP = {
    "gridding": {},
    "cg_sense": {"iterations": 1},
    "grasp": {"iterations": 1},
    "subspace": {"iterations": 1, "training_iterations": 1},
    "nik": {"steps": 1},
    "subspace_inr": {"steps": 1},
}


def slice_of(size: Size) -> tuple[KSpace, CoilMaps]:
    trajectory = golden_spokes(size.n_frames, size.n_spokes, size.n_samples, size.matrix)
    data = complex_noise((size.n_frames, size.n_coils, size.n_spokes, size.n_samples), 1)
    kspace = KSpace(data.astype(np.complex64), trajectory.astype(np.float32), size.matrix)
    kspace = replace(kspace, noise=NoiseLevel(1.0, is_measured=True))
    maps = complex_noise((size.n_coils, *size.matrix), 2).astype(np.complex64)
    maps = CoilMaps(maps / np.linalg.norm(maps, axis=0), "noise")
    return replace(kspace, density=ramp_density(kspace)).to_torch(), maps.to_torch()


@pytest.mark.parametrize("name", ONE_STEP)
def test_estimates_are_within_a_factor_of_two_and_a_half_of_what_is_measured(name):
    """At two sizes that differ four times. The machine's allocator has a say, too."""
    method, options = resolve(name, ONE_STEP[name])
    ratios = []
    for size in SIZES:
        kspace, maps = slice_of(size)
        assert Size.of(kspace) == size
        with torch.no_grad():
            method.run(kspace, maps, options, Budget())  # libraries load
            _, usage = measure(lambda k=kspace, m=maps: method.run(k, m, options, Budget()))
        ratios.append(method.memory(size, options) / 2**20 / max(usage.peak_memory_mb, 16))
    assert all(0.4 < ratio < 2.5 for ratio in ratios), ratios


def test_a_prepared_slice_is_as_large_as_its_arrays():
    size = SIZES[0]
    kspace, maps = slice_of(size)
    arrays = [kspace.data, kspace.trajectory, kspace.density, maps.maps]
    assert size.prepared == sum(array.nbytes for array in arrays)


def test_limits_are_those_of_the_configuration():
    limits = MemoryLimits.of(load_config({"max_host_gb": 1.5, "max_gpu_gb": 0.5, "device": "cpu"}))
    assert limits.on("cpu") == 1.5 * GB
    assert limits.on("cuda") == math.inf, "no GPU is used"
    assert limits.beside(GB).on("cpu") == 0.5 * GB


def test_by_default_a_margin_of_what_is_free_is_kept(monkeypatch):
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 10 * GB)
    assert MemoryLimits.of(load_config({"device": "cpu"})).host == pytest.approx(9 * GB)


@pytest.mark.parametrize("setting", ["max_host_gb", "max_gpu_gb", "preview_deadline_s"])
def test_limits_are_positive(setting):
    with pytest.raises(ConfigError, match=setting):
        load_config({setting: 0})


def test_the_frames_that_are_held_are_bounded():
    limits = MemoryLimits(host=2 * GB)
    limits.check_held(1.9 * GB, 100)
    with pytest.raises(DataError, match=r"grown to 2.1 GB in 110 frames.*2.0 GB.*max_host_gb"):
        limits.check_held(2.1 * GB, 110)


@pytest.mark.parametrize(("available", "count"), [(1e3, 10), (100, 10), (99, 9), (45, 4), (40, 4)])
def test_the_most_coils_that_fit_are_taken(available, count):
    assert coils_that_fit(lambda size: 10.0 * size.n_coils, replace(SIZES[1]), available) == count


@pytest.mark.parametrize(("n_coils", "fewest"), [(10, 4), (2, 2)])
def test_fewer_coils_than_are_worth_it_are_none(n_coils, fewest):
    size = replace(SIZES[1], n_coils=n_coils)
    with pytest.raises(BackendError, match=f"{fewest} virtual coils need {fewest}.0 GB more memory, 0 MB"):
        coils_that_fit(lambda size: 1.0 * GB * size.n_coils, size, -5.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), True),
        (RuntimeError("the size of tensor a must match"), False),
        (BackendError("out of memory is not what it says"), False),
    ],
)
def test_errors_that_tell_of_memory_are_known(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_real_allocation_that_fails_is_one():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    with pytest.raises(MemoryError):
        np.empty(1 << 60, np.uint8)


@pytest.mark.parametrize(("n_bytes", "expected"), [(0, "0 MB"), (99e6, "99 MB"), (2.34e9, "2.3 GB")])
def test_amounts_are_told_in_words(n_bytes, expected):
    assert told(n_bytes) == expected


def cgroup(folder, limit, used, cached, version):
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


@pytest.mark.parametrize(("version", "line"), [(2, "0::/service/scan"), (1, "4:memory:/service/scan")])
def test_the_tightest_control_group_counts(tmp_path, version, line):
    mount, membership = tmp_path / "mount", tmp_path / "membership"
    membership.write_text(f"9:name=systemd:/elsewhere\n{line}\n")
    base = mount if version == 2 else mount / "memory"
    cgroup(base / "service" / "scan", "max" if version == 2 else 1 << 60, 300, 0, version)
    cgroup(base / "service", 1000, 600, 250, version)
    (base / "other").mkdir()
    cgroup(base / "other", 10, 10, 0, version)
    assert min(memory._free_of_groups(mount, membership)) == 1000 - 600 + 250


def test_without_control_groups_there_is_no_such_limit(tmp_path):
    assert list(memory._free_of_groups(tmp_path, tmp_path / "missing")) == []


def test_what_is_free_here_is_believable():
    assert 1e7 < memory.free_host_bytes() < 1e14
