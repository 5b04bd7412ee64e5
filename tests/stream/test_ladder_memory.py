"""Where memory runs out, half of it is tried, then a simpler method."""

from __future__ import annotations

import pytest
import torch

from python_recon.config import Section
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.memory import MemoryLimits, Size
from python_recon.resources.schedule import Budget
from python_recon.stream import ladder
from tests.fake_methods import (
    N_COILS,
    climb,
    giving,
    images,
    kspace_and_maps,
    put_in_place,
    raising,
    values,
)
from tests.numerics import run_method, scan_heart

TORCH_SAYS = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.00 GiB of which "
    "1.00 GiB is free."
)
OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError(TORCH_SAYS),
    MemoryError("Unable to allocate 20.0 GiB for an array"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 20 bytes"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
]


class Batch(Section):
    """Of a method that has one."""

    batch: int = 1000


def greedy(error: Exception, most_coils: int, seen: list) -> Method:
    """Runs out of memory with more coils than that."""

    def run(kspace, maps, options, _budget):
        seen.append((kspace.n_coils, maps.n_coils, getattr(options, "batch", None)))
        if kspace.n_coils > most_coils:
            raise error
        return Reconstruction(images(1.0))

    return Method(run, Batch)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["torch", "python", "cpu allocator", "cufft"])
def test_half_of_coils_and_batch_are_tried_once(monkeypatch, error):
    seen = []
    put_in_place(monkeypatch, {"grasp": greedy(error, N_COILS // 2, seen)}, Batch())
    (outcome,) = climb()
    assert seen == [(N_COILS, N_COILS, 1000), (N_COILS // 2, N_COILS // 2, 500)]
    assert (outcome.method, outcome.n_coils) == ("grasp", N_COILS // 2)
    assert outcome.comment.endswith("made by grasp with half the coils on cpu")
    assert "20.00 GiB" not in outcome.comment, "the allocator's lines are for the log"


def test_then_comes_the_next_rung(monkeypatch):
    seen = []
    methods = {"grasp": greedy(OUT_OF_MEMORY[0], 1, seen), "subspace": giving(2.0)}
    put_in_place(monkeypatch, methods, Batch())
    (outcome,) = climb()
    assert len(seen) == 2
    assert outcome.method == "subspace"
    assert outcome.n_coils == N_COILS, "the next rung has all coils again"
    assert outcome.comment == (
        "grasp failed: CUDA out of memory; grasp with half the coils failed: CUDA out of memory; "
        "made by subspace on cpu"
    )


def test_other_errors_are_not_tried_again(monkeypatch):
    put_in_place(monkeypatch, {"grasp": raising(RuntimeError("broken")), "subspace": giving(2.0)})
    (outcome,) = climb()
    assert outcome.comment == "grasp failed: broken; made by subspace on cpu"


def test_what_failed_is_freed_before_the_next_try(monkeypatch):
    """Else the retry would have less than the first try."""
    held = []

    class Block:
        def __del__(self):
            held.remove(self.name)

    def run(kspace, _maps, _options, _budget):
        assert held == []
        block = Block()
        block.name = f"{kspace.n_coils} coils"
        held.append(block.name)
        if kspace.n_coils == N_COILS:
            raise MemoryError("no room")
        return Reconstruction(images(1.0))

    put_in_place(monkeypatch, {"grasp": Method(run, Batch)})
    assert values(climb()) == [1.0] * 4


def test_half_the_coils_are_the_strongest_and_show_the_same_object():
    scan = scan_heart(6, 21, 8, (32, 32))
    kspace, maps = ladder._with_coils(scan.kspace.to_torch(), scan.maps.to_torch(), 6)
    assert kspace.n_coils == maps.n_coils == 6
    kept = kspace.data.abs().square().sum() / scan.kspace.to_torch().data.abs().square().sum()
    assert kept > 0.95
    assert scan.psnr(run_method("grasp", kspace, maps).images) > (
        scan.psnr(run_method("grasp", scan.kspace, scan.maps).images) - 1
    )


def budget(n_bytes: float) -> Budget:
    return Budget(memory=MemoryLimits(host=n_bytes))


def needing(n_bytes_a_coil: float, value: float) -> Method:
    def run(kspace, _maps, _options, _budget):
        return Reconstruction(images(value * kspace.n_coils))

    return Method(run, Batch, lambda size, _options: n_bytes_a_coil * size.n_coils)


def test_as_many_coils_are_taken_as_the_memory_allows(monkeypatch):
    put_in_place(monkeypatch, {"grasp": needing(1e6, 1.0)})
    prepared = Size.of(kspace_and_maps()[0]).prepared
    (outcome,) = climb(budget(prepared + 6e6))
    assert values([outcome]) == [6.0] * 4
    assert outcome.comment == "6 virtual coils instead of 8, to fit into memory"
    (enough,) = climb(budget(prepared + 8e6))
    assert (enough.n_coils, enough.comment) == (8, "")


def test_a_method_that_needs_too_much_is_not_begun(monkeypatch):
    methods = {"grasp": needing(1e9, 1.0), "subspace": needing(1e6, 2.0)}
    put_in_place(monkeypatch, methods)
    (outcome,) = climb(budget(5e7))
    assert outcome.method == "subspace"
    assert "grasp failed: 4 virtual coils need 4.0 GB more memory, 50 MB are left" in outcome.comment


@pytest.mark.cuda
def test_a_gpu_that_is_too_small_survives(monkeypatch):
    """A real allocation that fails, in the place of a method."""
    scan, resolve = scan_heart(6, 21, 8, (32, 32)), ladder.resolve

    def run(kspace, _maps, _options, _budget):
        torch.empty(1 << 46, dtype=torch.uint8, device=kspace.data.device)

    def greedy_grasp(name, options):
        return (Method(run, Batch), Batch()) if name == "grasp" else resolve(name, options)

    monkeypatch.setattr(ladder, "resolve", greedy_grasp)
    on_gpu = scan.kspace.to_torch("cuda"), scan.maps.to_torch("cuda")
    outcome = ladder.climb_down(*on_gpu, "grasp", {}, Budget())
    assert outcome.comment.startswith("grasp failed: CUDA out of memory; grasp with half the coils failed")
    assert outcome.comment.endswith("made by subspace on cuda")
    assert outcome.reconstruction.images.is_cuda
