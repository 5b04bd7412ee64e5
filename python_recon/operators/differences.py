"""Differences between frames and between pixels, and the proximal maps of their absolute sums."""

from __future__ import annotations

import torch

from python_recon.resources.parallel import side_by_side

_WORKING_SET_BYTES = {"cpu": 1_000_000, "cuda": 256_000_000}


def neighbour_differences(n_frames: int, is_periodic: bool = False) -> torch.Tensor:
    """Matrix (difference, frame) of the differences between successive frames.

    A periodic series has one row more: the first frame follows the last.
    """
    frames = torch.eye(n_frames)
    differences = frames.roll(-1, 0) - frames
    return differences if is_periodic else differences[:-1]


class TotalVariation:
    """Proximal map of ``weight * sum |D x|`` for a complex series x and differences D between frames.

    Solved by the alternating direction method of multipliers, whose linear step is a product with a small
    dense matrix, all pixels at once. Its state is kept between calls: within an outer iteration whose
    steps shrink, a few inner steps are enough (Boyd et al., doi:10.1561/2200000016).

    Parameters
    ----------
    differences
        (difference, frame) real matrix; rows may be scaled to weigh them.
    penalty
        Of the splitting; changes the speed of convergence, not the result.
    """

    _STEPS = 4
    """Inner steps a call."""

    def __init__(self, differences: torch.Tensor, penalty: float = 3.0) -> None:
        n_frames = differences.shape[1]
        normal = torch.eye(n_frames, device=differences.device) + penalty * differences.T @ differences
        self._solve = torch.linalg.inv(normal)
        self._solve_differences = penalty * self._solve @ differences.T
        self._differences, self._penalty = differences, penalty
        self._state: tuple[torch.Tensor, torch.Tensor] | None = None

    def prox(self, series: torch.Tensor, weight: torch.Tensor | float) -> torch.Tensor:
        """``argmin_x |x - series|^2 / 2 + weight * sum |D x|`` for (frame, y, x), nearly."""
        flat = torch.view_as_real(series).flatten(1)
        if self._state is None:
            split = self._differences @ flat
            self._state = split, torch.zeros_like(split)
        state, result = self._state, torch.empty_like(flat)
        width = max(1, _WORKING_SET_BYTES[series.device.type] // (8 * len(flat)))

        def solve(pixels: slice) -> None:
            for start in range(pixels.start, pixels.stop, width):
                columns = slice(2 * start, 2 * min(start + width, pixels.stop))
                split, dual = (part[:, columns] for part in state)
                result[:, columns] = self._solve_columns(flat[:, columns], split, dual, weight)

        side_by_side(solve, flat.shape[1] // 2, series.device)
        return torch.view_as_complex(result.reshape(*series.shape, 2))

    def _solve_columns(
        self, series: torch.Tensor, split: torch.Tensor, dual: torch.Tensor, weight: torch.Tensor | float
    ) -> torch.Tensor:
        """Run the steps on some pixels; ``split`` and ``dual`` are brought up to date in place."""
        fixed = self._solve @ series
        for _ in range(self._STEPS):
            solution = fixed + self._solve_differences @ (split - dual)
            wanted = self._differences @ solution + dual
            split.copy_(_shrink(wanted, weight / self._penalty))
            torch.sub(wanted, split, out=dual)
        return solution


def _shrink(pairs: torch.Tensor, threshold: torch.Tensor | float) -> torch.Tensor:
    """Shorten complex numbers, stored as neighbouring real columns, by ``threshold``."""
    squares = pairs.square()
    inverse_length = (squares[:, ::2] + squares[:, 1::2]).rsqrt_().clamp_max_(1e30)
    factor = inverse_length.mul_(-threshold).add_(1).clamp_min_(0)
    return (pairs.unflatten(1, (-1, 2)) * factor[..., None]).flatten(1)  # type: ignore[no-untyped-call, no-any-return]


class SpatialVariation:
    """Proximal map of ``weight * sum_yx sqrt(sum_k |grad u_k|^2)``, the joint variation of several images.

    The images share their edges: where one of them has an edge, it costs little in the others. For the
    components of an orthonormal temporal basis the root is the energy of the gradient over all frames.
    Solved on the dual by projected gradient (Chambolle, doi:10.1023/B:JMIV.0000011325.36760.1e; joint over
    images: Bresson and Chan, doi:10.3934/ipi.2008.2.455), whose state is kept between calls.

    Parameters
    ----------
    steps
        Inner steps a call.
    """

    _DUAL_STEP = 1 / 8
    """One over the bound of the squared norm of the gradient."""

    def __init__(self, steps: int = 3) -> None:
        self._steps = steps
        self._dual: torch.Tensor | None = None

    def prox(self, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """``argmin_x |x - images|^2 / 2 + weight * variation(x)`` for (image, y, x), nearly."""
        if self._dual is None:
            self._dual = torch.zeros((2, *images.shape), dtype=images.dtype, device=images.device)
        across, down = self._dual
        safe = weight.clamp_min(1e-30)
        for _ in range(self._steps):
            smooth = images - weight * _divergence(across, down)
            smooth *= self._DUAL_STEP / safe
            across[..., :-1] += smooth[..., 1:] - smooth[..., :-1]
            down[..., :-1, :] += smooth[..., 1:, :] - smooth[..., :-1, :]
            pairs = torch.view_as_real(self._dual)
            # One sum over all axes would take six times as long.
            self._dual /= pairs.square().sum((0, 1)).sum(-1).sqrt().clamp_min(1)
        return images - weight * _divergence(across, down)


def _divergence(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Adjoint of the differences to the next pixel; the last column and the last row have none."""
    result = -across - down
    result[..., 1:] += across[..., :-1]
    result[..., 1:, :] += down[..., :-1, :]
    return result
