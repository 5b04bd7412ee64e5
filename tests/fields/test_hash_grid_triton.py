"""The kernels of the hash grid against Torch: on CUDA, and without it in Triton's interpreter.

The interpreter has to be asked for before Triton is imported, hence in a process of its own.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.fields.test_hash_grid import grid_with_values, points

pytest.importorskip("triton", reason="Triton is not installed; Torch for CUDA brings it")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from python_recon.fields import hash_grid_triton

UNEVEN_2D, UNEVEN_3D = {"base_resolution": (3, 7)}, {"base_resolution": (2, 5, 3), "n_features": 1}
CASES = [
    (2, {}, None),
    (3, {}, 2.25),
    (2, UNEVEN_2D, 1.0),
    (3, UNEVEN_3D, None),
    (2, {"log2_table_size": 4}, 0.0),
    (3, {"log2_table_size": 14, "n_features": 2}, 3.5),
    (3, {"n_levels": 2, "log2_table_size": 10, "base_resolution": 2**18, "scale": 2.0}, None),
]
"""Dimensions, options and unlocked levels: some levels dense, none, all; products beyond 32 bits."""


def agree(n_dims, options, n_unlocked, dtype, device):
    """Values and gradients of the kernels are those of Torch; two blocks of points, some beyond the grid."""
    grid = grid_with_values(n_dims, dtype, **options).to(device)
    x = points(301, n_dims, dtype).to(device)
    x[:3] = torch.tensor([[0.0], [1.0], [1.125]])
    level_weights = None if n_unlocked is None else grid.level_weights(n_unlocked)
    by_torch = grid.torch_features(x, level_weights)
    by_triton = hash_grid_triton.features(grid, x, level_weights)
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-12, "rtol": 1e-12}
    torch.testing.assert_close(by_triton, by_torch, **tolerance)
    outer = torch.cos(torch.arange(by_torch.numel(), device=device, dtype=dtype)).reshape(by_torch.shape)
    wanted, found = (torch.autograd.grad(f, grid.table, outer)[0] for f in (by_torch, by_triton))
    assert wanted.any() == (n_unlocked != 0)
    torch.testing.assert_close(found, wanted, **tolerance)


def agree_in_all_cases():
    for case in CASES:
        for dtype in (torch.float32, torch.float64):
            agree(*case, dtype, "cpu")


def test_kernels_agree_with_torch_in_the_interpreter():
    root = Path(__file__).parents[2]
    code = f"from {Path(__file__).stem} import agree_in_all_cases; agree_in_all_cases()"
    path = os.pathsep.join([str(Path(__file__).parent), str(root), *sys.path])
    settings = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_for_cuda_without_a_device(learns, capability, tmp_path, monkeypatch):
    """The interpreter does not see what the compiler refuses."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    numbers = dict.fromkeys(("x", "table", "encoded", "level_weights"), "*fp32")
    shape = {"resolutions": "*i64", "offsets": "*i64", "n_points": "i32"}
    sizes = {"n_levels": 16, "n_dense": 5, "n_dims": 3, "n_features": 3, "width": 4}
    sizes |= {"hash_mask": 2**19 - 1, "block": 256, "learns": learns}
    signature = {**numbers, **shape, **dict.fromkeys(sizes, "constexpr")}
    source = ASTSource(hash_grid_triton._encode, signature, sizes)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"enable_fp_fusion": False})
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert bool(re.search(r"\b(red|atom)\..*add", compiled.asm["ptx"])) == learns
    assert "fma" not in compiled.asm["ptx"]
    assert compiled.asm["cubin"]


def test_what_the_kernels_cannot_do_is_left_to_torch_untimed(caplog):
    grid, x = grid_with_values(), points(9, 2)
    weights = grid.level_weights(2.0)
    with caplog.at_level(logging.INFO):
        assert not hash_grid_triton.is_faster(grid, x.clone().requires_grad_())
        assert not hash_grid_triton.is_faster(grid, x, weights.clone().requires_grad_())
        assert not hash_grid_triton.is_faster(grid, x, weights.double())
        assert not hash_grid_triton.is_faster(grid, x.half())
        assert not hash_grid_triton.is_faster(grid, x[:0])
        torch.use_deterministic_algorithms(True)
        try:
            assert not hash_grid_triton.is_faster(grid, x)
        finally:
            torch.use_deterministic_algorithms(False)
    assert not caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_where_triton_cannot_run_torch_is_taken_and_the_log_says_so(caplog):
    grid, x = grid_with_values(), points(9, 2)
    with caplog.at_level(logging.INFO):
        assert not hash_grid_triton.is_faster(grid, x)
    assert "by Torch: Triton cannot run here" in caplog.text


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_kernels_agree_with_torch_on_cuda(case, dtype):
    agree(*case, dtype, "cuda")


@pytest.mark.cuda
def test_the_choice_is_made_once_for_a_size_and_logged(caplog):
    grid, x = grid_with_values(n_levels=5).cuda(), points(3000, 2).cuda()
    with caplog.at_level(logging.INFO):
        features = [grid(part) for part in (x, x[:2900], x)]
    assert caplog.text.count("the hash grid is computed by") == 1
    torch.testing.assert_close(features[0], grid.torch_features(x), atol=1e-5, rtol=1e-5)
