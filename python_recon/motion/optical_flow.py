"""Optical flow of many pairs of images at once, and images moved along it.

Iterative Lucas-Kanade on a pyramid: about every pixel p the one displacement d is sought for which the moving
image at p + d is the fixed one, by least squares over a square window; the moving image is warped and the
displacement refined, from the coarsest level to the finest. Lucas and Kanade, Proc. IJCAI 1981, 674-679; Le
Besnerais and Champagnat, doi:10.1109/ICIP.2005.1529706. Departure: where a window has less structure than
noise would have, it is told to stay where it is, instead of being left as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

_COARSEST = 16
"""Shorter side of the coarsest level, at least."""


def pyramid(images: torch.Tensor) -> list[torch.Tensor]:
    """Real images (image, y, x) at every level, the finest first, each half as wide as the one before."""
    levels = [images]
    while min(levels[-1].shape[-2:]) >= 2 * _COARSEST:
        smooth = _smoothed(levels[-1])
        half = [-(-n // 2) for n in smooth.shape[-2:]]
        levels.append(_resized(smooth[:, None], half)[:, 0])
    return levels


def flow(
    fixed: Sequence[torch.Tensor], moving: Sequence[torch.Tensor], radius: int, warps: int, ridge: float
) -> torch.Tensor:
    """Where each pixel of the fixed images lies in the moving ones.

    Parameters
    ----------
    fixed, moving
        Levels of (pair, y, x) from :func:`pyramid`; one fixed image may stand for all pairs.
    radius
        Of the window, pixels of a level.
    warps
        Refinements at each level.
    ridge
        Mean squared slope, per pixel of the finest level, that counts as no structure.

    Returns
    -------
        (pair, 2, y, x) displacements along y and x, in pixels.
    """
    result = torch.zeros_like(moving[-1])[:, None].repeat(1, 2, 1, 1)
    for still, other in zip(reversed(fixed), reversed(moving), strict=True):
        result = _enlarged(result, other.shape[-2:])
        for _ in range(warps):
            result = _refined(still, other, result, radius, ridge)
    return result


def warped(images: torch.Tensor, displacement: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Real images (pair, channel, y, x) at p + displacement (pair, 2, y, x); the border goes on outside."""
    rows, columns = images.shape[-2:]
    y = torch.arange(rows, device=images.device, dtype=images.dtype)[:, None] + displacement[:, 0]
    x = torch.arange(columns, device=images.device, dtype=images.dtype) + displacement[:, 1]
    grid = torch.stack([2 * x / max(columns - 1, 1) - 1, 2 * y / max(rows - 1, 1) - 1], -1)
    return functional.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


def window_mean(images: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean of (image, channel, y, x) over a square window about every pixel, mirrored at the border."""
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    width = 2 * radius + 1
    return _sums(_sums(padded, width, -1), width, -2).div_(width**2)


def _sums(values: torch.Tensor, width: int, axis: int) -> torch.Tensor:
    """Sums of so many neighbours along an axis, of sums of half as many."""
    if width == 1:
        return values
    half, length = _sums(values, width // 2, axis), values.shape[axis] - width + 1
    total = half.narrow(axis, 0, length) + half.narrow(axis, width // 2, length)
    return total.add_(values.narrow(axis, width - 1, length)) if width % 2 else total


def _refined(
    fixed: torch.Tensor, moving: torch.Tensor, displacement: torch.Tensor, radius: int, ridge: float
) -> torch.Tensor:
    """The displacements of least error, with the moving images linear about where they are now."""
    now = warped(moving[:, None], displacement)[:, 0]
    slope_y, slope_x = torch.gradient(now, dim=(-2, -1))
    error = fixed - now + slope_y * displacement[:, 0] + slope_x * displacement[:, 1]
    products = (slope_y * slope_y, slope_y * slope_x, slope_x * slope_x, slope_y * error, slope_x * error)
    yy, yx, xx, ye, xe = window_mean(torch.stack(products, 1), radius).unbind(1)
    yy, xx = yy + ridge, xx + ridge
    determinant = (yy * xx).addcmul_(yx, yx, value=-1)
    y = (xx * ye).addcmul_(yx, xe, value=-1)
    x = (yy * xe).addcmul_(yx, ye, value=-1)
    return torch.stack([y, x], 1).div_(determinant[:, None].clamp_min(torch.finfo(now.dtype).tiny))


def _smoothed(images: torch.Tensor) -> torch.Tensor:
    """Without the detail that half as many pixels cannot show."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=images.device, dtype=images.dtype) / 16
    padded = functional.pad(images[:, None], (2, 2, 2, 2), mode="reflect")
    along_y = functional.conv2d(padded, kernel[:, None][None, None])
    return functional.conv2d(along_y, kernel[None, None, None])[:, 0]


def _enlarged(displacement: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """On a finer level, in its pixels."""
    if displacement.shape[-2:] == torch.Size(shape):
        return displacement
    scale = [new / old for new, old in zip(shape, displacement.shape[-2:], strict=True)]
    return _resized(displacement, shape) * displacement.new_tensor(scale)[:, None, None]


def _resized(images: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return functional.interpolate(images, tuple(shape), mode="bilinear", align_corners=False)
