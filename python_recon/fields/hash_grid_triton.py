"""The multi-resolution hash encoding as one Triton kernel a direction, for CUDA.

The same features as ``HashGrid.torch_features``, without its values of every corner in memory. Triton
comes with Torch for CUDA and compiles at the first call; nothing is built when this package is installed.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from python_recon.fields.hashing import PRIMES, HashedTable

_PRIME_X, _PRIME_Y, _PRIME_Z = (tl.constexpr(prime) for prime in PRIMES)

_BLOCK = 256
"""Points a program."""
_REPETITIONS = 5
"""Of either path, timed."""

_log = logging.getLogger(__name__)


class _Case(NamedTuple):
    """What the times depend on; the points to a factor of two."""

    device: torch.device
    dtype: torch.dtype
    n_dims: int
    n_levels: int
    n_dense: int
    table_shape: torch.Size
    magnitude: int
    learns: bool


_choices: dict[_Case, bool] = {}
"""Whether the kernels are faster."""


def is_faster(grid: HashedTable, x: torch.Tensor, level_weights: torch.Tensor | None = None) -> bool:
    """Whether to take the kernels rather than Torch: timed once for every size, on the device of x.

    Torch is taken for what the kernels do not do: gradients for coordinates and level weights, mixed or half
    precision, and sums in the same order every time.
    """
    if not _can_do(grid, x, level_weights):
        return False
    learns = torch.is_grad_enabled() and grid.table.requires_grad
    sizes = (x.shape[1], grid.n_levels, grid.n_dense, grid.table.shape, len(x).bit_length())
    case = _Case(x.device, x.dtype, *sizes, learns)
    if case not in _choices:
        if x.is_cuda and torch.cuda.is_current_stream_capturing():
            return False  # A graph cannot be timed while it is captured.
        _choices[case] = _race(grid, x, case)
    return _choices[case]


def features(grid: HashedTable, x: torch.Tensor, level_weights: torch.Tensor | None = None) -> torch.Tensor:
    """(point, dimension) in 0..1 -> (point, level * feature); differentiable once, and in the table alone.

    A level of weight 0 is not read.
    """
    if level_weights is None:
        level_weights = grid.table.new_ones(grid.n_levels)
    result: torch.Tensor = _Features.apply(grid.table, x.contiguous(), level_weights.contiguous(), grid)  # type: ignore[no-untyped-call]
    return result


def _can_do(grid: HashedTable, x: torch.Tensor, level_weights: torch.Tensor | None) -> bool:
    given = [x] if level_weights is None else [x, level_weights]
    return (
        x.numel() > 0
        and x.dtype in (torch.float32, torch.float64)
        and all(t.dtype == grid.table.dtype and t.device == grid.table.device for t in given)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in given))
        and not torch.are_deterministic_algorithms_enabled()
    )


def _race(grid: HashedTable, x: torch.Tensor, case: _Case) -> bool:
    """Time both paths with every level unlocked; Torch wins where Triton cannot run."""
    try:
        by_triton = _milliseconds(lambda: features(grid, x), grid, case)
    except torch.cuda.OutOfMemoryError:
        raise  # For the caller, who makes the fit smaller.
    except (RuntimeError, OSError, subprocess.SubprocessError, triton.TritonError) as error:
        _log.info("the hash grid is computed by Torch: Triton cannot run here (%s)", error)
        return False
    by_torch = _milliseconds(lambda: grid.torch_features(x), grid, case)
    chosen = "Triton" if by_triton < by_torch else "Torch"
    size = f"{case.n_dims} dimensions, {case.n_levels} levels, {len(x)} points, {case.dtype}"
    times = f"Triton {by_triton:.3g} ms, Torch {by_torch:.3g} ms"
    _log.info("the hash grid is computed by %s: %s for %s", chosen, times, size)
    return by_triton < by_torch


def _milliseconds(encode: Callable[[], torch.Tensor], grid: HashedTable, case: _Case) -> float:
    """Time of one encoding on the device, with its gradient where the table learns."""

    def run() -> None:
        result = encode()
        if case.learns:
            torch.autograd.grad(result, grid.table, torch.ones_like(result))

    run()  # Compiles.
    with torch.cuda.device(case.device):
        events: list[Any] = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
        start, end = events
        start.record()
        for _ in range(_REPETITIONS):
            run()
        end.record()
        end.synchronize()
        milliseconds: float = start.elapsed_time(end)
    return milliseconds / _REPETITIONS


class _Features(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, table: torch.Tensor, x: torch.Tensor, level_weights: torch.Tensor, grid: HashedTable
    ) -> torch.Tensor:
        ctx.save_for_backward(x, level_weights)
        ctx.grid = grid
        result = x.new_empty(len(x), grid.n_features)
        _launch(grid, x, level_weights, table.contiguous(), result, learns=False)
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        x, level_weights = ctx.saved_tensors
        table_gradient = gradient.new_zeros(ctx.grid.table.shape)
        _launch(ctx.grid, x, level_weights, table_gradient, gradient.contiguous(), learns=True)
        return table_gradient, None, None, None


def _launch(
    grid: HashedTable,
    x: torch.Tensor,
    level_weights: torch.Tensor,
    table: torch.Tensor,
    encoded: torch.Tensor,
    *,
    learns: bool,
) -> None:
    """Run the kernel over all points of one level after the other, so that a level stays in the cache."""
    n_points, n_dims = x.shape
    n_features = table.shape[1]
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _encode[(triton.cdiv(n_points, _BLOCK), grid.n_levels)](
            *(x, table, encoded, level_weights, grid.resolutions, grid.offsets, n_points),
            n_levels=grid.n_levels,
            n_dense=grid.n_dense,
            n_dims=n_dims,
            n_features=n_features,
            width=triton.next_power_of_2(n_features),
            hash_mask=grid.hash_mask,
            block=_BLOCK,
            learns=learns,
            enable_fp_fusion=False,  # Torch rounds the position before it takes the cell off.
        )


# do_not_specialize: one kernel for every number of points, so that none is compiled within a CUDA graph.
@triton.jit(do_not_specialize=["n_points"])  # type: ignore[untyped-decorator]
def _encode(
    x: tl.tensor,
    table: tl.tensor,
    encoded: tl.tensor,
    level_weights: tl.tensor,
    resolutions: tl.tensor,
    offsets: tl.tensor,
    n_points: tl.tensor,
    n_levels: tl.constexpr,
    n_dense: tl.constexpr,
    n_dims: tl.constexpr,
    n_features: tl.constexpr,
    width: tl.constexpr,
    hash_mask: tl.constexpr,
    block: tl.constexpr,
    learns: tl.constexpr,
) -> None:
    """A level at a block of points: its features from the table to ``encoded``, or gradients back.

    Where it learns, ``encoded`` are the gradients of the features, and the table is its gradient, to which
    they are added.
    """
    level, point, feature, inside = _part(n_points, n_features, width, block)
    scale = tl.load(level_weights + level)
    place = (point * n_levels + level)[:, None] * n_features + feature[None, :]
    values = tl.zeros([block, width], dtype=x.dtype.element_ty)
    if scale != 0:
        if learns:
            values = scale * tl.load(encoded + place, mask=inside, other=0.0)
        for corner in tl.static_range(2**n_dims):
            weight, row = _corner(x, resolutions, level, point, n_points, corner, n_dense, n_dims, hash_mask)
            entry = table + (tl.load(offsets + level) + row)[:, None] * n_features + feature[None, :]
            if learns:
                tl.atomic_add(entry, weight[:, None] * values, mask=inside, sem="relaxed")
            else:
                values += weight[:, None] * tl.load(entry, mask=inside, other=0.0)
    if not learns:
        tl.store(encoded + place, scale * values, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _part(
    n_points: tl.tensor, n_features: tl.constexpr, width: tl.constexpr, block: tl.constexpr
) -> tuple[tl.tensor, ...]:
    """Level, points and features of this program, and which of (point, feature) there are."""
    level = tl.program_id(1)
    point = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    feature = tl.arange(0, width)
    inside = (point < n_points)[:, None] & (feature < n_features)[None, :]
    return level, point, feature, inside


@triton.jit  # type: ignore[untyped-decorator]
def _corner(
    x: tl.tensor,
    resolutions: tl.tensor,
    level: tl.tensor,
    point: tl.tensor,
    n_points: tl.tensor,
    corner: tl.constexpr,
    n_dense: tl.constexpr,
    n_dims: tl.constexpr,
    hash_mask: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """Weight (point,) and row (point,) within the level of one corner of the cells around points."""
    weight = tl.full(point.shape, 1.0, dtype=x.dtype.element_ty)
    dense = tl.zeros(point.shape, dtype=tl.int64)
    hashed = tl.zeros(point.shape, dtype=tl.int64)
    stride = 1
    for axis in tl.static_range(n_dims):
        n_cells = tl.load(resolutions + level * n_dims + axis)
        place = tl.load(x + point * n_dims + axis, mask=point < n_points, other=0.0)
        position = place * n_cells.to(place.dtype)
        cell = tl.minimum(tl.maximum(tl.floor(position), 0.0), (n_cells - 1).to(place.dtype))
        fraction = position - cell
        weight *= fraction if (corner >> axis) & 1 else 1 - fraction
        vertex = cell.to(tl.int64) + ((corner >> axis) & 1)
        dense += vertex * stride
        hashed ^= vertex * (_PRIME_X if axis == 0 else (_PRIME_Y if axis == 1 else _PRIME_Z))
        stride *= n_cells + 1
    return weight, tl.where(level < n_dense, dense, hashed & hash_mask)
